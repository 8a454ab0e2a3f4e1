"""Stage: split the photographs by scene and cut them into crops."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from arbiscale.config.data import DataSettings
from arbiscale.data.crops import make_crops
from arbiscale.data.index import open_index
from arbiscale.data.manifest import CARD, MANIFEST, PAGE, SHEET, read_record
from arbiscale.data.manifest import CROPS as TABLE
from arbiscale.data.parallel import Engine
from arbiscale.data.remote_shards import ShardPrefix
from arbiscale.data.sources import open_source
from arbiscale.files import content_hash
from arbiscale.imaging.reading import read_image
from arbiscale.pipeline.stage import Stage, run_stage

RAW = Path("data/raw")
CROPS = Path("data/crops")


def main(stage: Stage) -> None:
    """Fill data/crops from data/raw."""
    settings = stage.settings("data", DataSettings)
    with open_index() as index:
        made = CROPS / MANIFEST
        manifest, read = make_crops(
            open_source(settings),
            read_record(RAW),
            CROPS,
            crop=settings.crop,
            split=settings.split,
            seed=stage.seed,
            store=settings.store,
            prefix=ShardPrefix(settings.shards, settings.s3.endpoint_url) if settings.shards else None,
            engine=Engine.of(stage.runtime),
            reuse=made.is_file() and index.cut_by(content_hash(made), stage.inputs.code),
        )
        index.note_crops(content_hash(made), stage.inputs.code)
    for rejected in manifest.rejected:
        print(f"rejected: {rejected.source}: {rejected.reason}", file=sys.stderr)
    for pair in manifest.near_duplicates:
        if pair.apart != (pair.split, pair.split):
            names = f"{pair.first} ({pair.apart[0]}) and {pair.second} ({pair.apart[1]})"
            print(f"look alike ({pair.bits} of 64 bits differ): {names}: both go to {pair.split}")
    crops = Counter(crop.split for crop in manifest.crops)
    counts = {f"crops/{split}": count for split, count in crops.items()}
    counts |= {"photographs/test": len(manifest.photographs), "photographs/rejected": len(manifest.rejected)}
    counts |= {"photographs/near_duplicates": len(manifest.near_duplicates)}
    counts |= {"photographs/read": read}
    stage.run.log_metrics(counts)
    for name in (MANIFEST, TABLE, CARD, PAGE):
        if (CROPS / name).exists():
            stage.run.log_artifact(CROPS / name)
    stage.run.log_image("crops", read_image(CROPS / SHEET))
    cut = ", ".join(f"{count} of {split}" for split, count in sorted(crops.items()))
    print(
        f"crops: {cut}; photographs: {read} read, {len(manifest.photographs)} of test, "
        f"{len(manifest.rejected)} rejected, {len(manifest.near_duplicates)} pairs that look alike"
    )


if __name__ == "__main__":
    run_stage("crop", main, upstream=["download"])
