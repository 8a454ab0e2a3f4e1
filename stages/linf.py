"""Stage: train LINF, to be compared with."""

from __future__ import annotations

from pathlib import Path

import torch

from arbiscale.config.baselines import LINFSettings
from arbiscale.config.data import DataSettings
from arbiscale.data.dataset import training_streams
from arbiscale.data.degradation import make_degradation
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
    data = stage.settings("data", DataSettings)
    train, validation = training_streams(CROPS, data.augmentation, stage.seed, settings.training.batch_size)
    torch.manual_seed(derive_seed(stage.seed, stage.name))
    module = LINFTraining(settings, stage.runtime.weights_dir)
    module.degradation = make_degradation(data, stage.seed)
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
