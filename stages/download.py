"""Stage: fetch the original photographs."""

from __future__ import annotations

from pathlib import Path

from arbiscale.config.data import DataSettings
from arbiscale.data.manifest import RECORD
from arbiscale.data.sources import fetch
from arbiscale.pipeline.stage import Stage, run_stage

RAW = Path("data/raw")


def main(stage: Stage) -> None:
    """Fill data/raw from the chosen source."""
    settings = stage.settings("data", DataSettings)
    photographs = fetch(settings, RAW)
    stage.run.log_metrics({"photographs": len(photographs)})
    stage.run.log_artifact(RAW / RECORD)
    print(f"{len(photographs)} photographs from {settings.source} in {RAW}")


if __name__ == "__main__":
    run_stage("download", main)
