"""Stage: look whether the chosen source lists other photographs than before."""

from __future__ import annotations

import sys
from pathlib import Path

from arbiscale.config.data import DataSettings
from arbiscale.config.section import load_section
from arbiscale.data.sources import open_source
from arbiscale.errors import UserError
from arbiscale.files import write_json
from arbiscale.pipeline.ending import ends_in_one_line

LISTING = Path("data/listing.json")


def main() -> None:
    """Write data/listing.json; where the source is not here, what was listed before stands."""
    settings = load_section(Path("params.yaml"), "data", DataSettings)
    try:
        state = open_source(settings).state()
    except UserError as error:
        if not LISTING.exists():
            raise
        print(f"WARNING: {error}; its photographs are taken to be as before", file=sys.stderr)
        return
    write_json(LISTING, state)


if __name__ == "__main__":
    with ends_in_one_line("list"):
        main()
