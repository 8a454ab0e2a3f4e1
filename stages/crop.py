"""Stage: split the photographs by scene and cut them into crops."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from arbiscale.config.data import DataSettings
from arbiscale.data.crops import make_crops
from arbiscale.data.manifest import MANIFEST
from arbiscale.imaging.reading import read_image
from arbiscale.pipeline.stage import Stage, run_stage

RAW = Path("data/raw")
CROPS = Path("data/crops")


def main(stage: Stage) -> None:
    """Fill data/crops from data/raw."""
    settings = stage.settings("data", DataSettings)
    manifest = make_crops(RAW, CROPS, crop=settings.crop, split=settings.split, seed=stage.seed)
    for rejected in manifest.rejected:
        print(f"rejected: {rejected.source}: {rejected.reason}", file=sys.stderr)
    crops = Counter(crop.split for crop in manifest.crops)
    counts = {f"crops/{split}": count for split, count in crops.items()}
    counts |= {"photographs/test": len(manifest.photographs), "photographs/rejected": len(manifest.rejected)}
    stage.run.log_metrics(counts)
    stage.run.log_artifact(CROPS / MANIFEST)
    stage.run.log_image("crops", read_image(CROPS / "preview.png"))
    print(", ".join(f"{count} {name}" for name, count in counts.items()))


if __name__ == "__main__":
    run_stage("crop", main, upstream=["download"])
