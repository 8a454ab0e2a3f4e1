"""Stage: read what is new of the source's photographs, and record them all."""

from __future__ import annotations

from pathlib import Path

from arbiscale.config.data import DataSettings
from arbiscale.data.index import open_index
from arbiscale.data.parallel import Engine
from arbiscale.data.scan import scan, summary
from arbiscale.data.sources import open_source
from arbiscale.pipeline.stage import Stage, run_stage

RAW = Path("data/raw")


def main(stage: Stage) -> None:
    """Fill data/raw with the record of the chosen source."""
    settings = stage.settings("data", DataSettings)
    with open_index() as index:
        record, changes = scan(open_source(settings), RAW, index, stage.inputs.code, Engine.of(stage.runtime))
    counts = {"added": len(changes.added), "removed": len(changes.removed), "rejected": len(record.rejected)}
    stage.run.log_metrics({"photographs": len(record.photographs), **counts})
    for file in sorted(RAW.iterdir()):
        stage.run.log_artifact(file)
    print(f"{len(record.photographs)} photographs of {settings.source}: {summary(changes, record.rejected)}")


if __name__ == "__main__":
    run_stage("download", main)
