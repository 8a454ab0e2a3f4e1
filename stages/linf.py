"""Stage: train LINF, to be compared with."""

from __future__ import annotations

from pathlib import Path

import torch

from arbiscale.config.baselines import LINFSettings
from arbiscale.config.data import DataSettings
from arbiscale.data.dataset import training_streams
from arbiscale.models.folder import LocalImplicitConfig, save_local_implicit
from arbiscale.pipeline.stage import Stage, run_stage
from arbiscale.training.fit import fit
from arbiscale.training.local_implicit import LINFTraining
from arbiscale.training.module import derive_seed

CROPS = Path("data/crops")
OUT = Path("models/baselines/linf")


def main(stage: Stage) -> None:
    """Fill models/baselines/linf from data/crops."""
    settings = stage.settings("baselines.linf", LINFSettings)
    augmentation = stage.settings("data", DataSettings).augmentation
    train, validation = training_streams(CROPS, augmentation, stage.seed)
    torch.manual_seed(derive_seed(stage.seed, stage.name))
    module = LINFTraining(settings, stage.runtime.weights_dir)
    fit(
        module,
        train,
        validation,
        runtime=stage.runtime,
        seed=stage.seed,
        scratch=stage.scratch,
        recorder=stage.recorder,
    )
    save_local_implicit(OUT, LocalImplicitConfig(network=settings.network), module.model)
    stage.identify(OUT)


if __name__ == "__main__":
    run_stage("linf", main, upstream=["crop"])
