"""Stage: train the first stage, encoder and implicit decoder."""

from __future__ import annotations

from pathlib import Path

import torch

from arbiscale.config.autoencoder import AutoencoderSettings
from arbiscale.config.data import DataSettings
from arbiscale.data.dataset import training_streams
from arbiscale.data.degradation import make_degradation
from arbiscale.models.folder import AUTOENCODER, FirstStageConfig, save_autoencoder
from arbiscale.models.initialisation import start_from
from arbiscale.pipeline.stage import Stage, run_stage
from arbiscale.training.autoencoder import AutoencoderTraining
from arbiscale.training.fit import fit
from arbiscale.training.module import derive_seed

CROPS = Path("data/crops")
OUT = Path("models/autoencoder")


def main(stage: Stage) -> None:
    """Fill models/autoencoder from data/crops."""
    settings = stage.settings("autoencoder", AutoencoderSettings)
    data = stage.settings("data", DataSettings)
    train, validation = training_streams(CROPS, data.augmentation, stage.seed, settings.training.batch_size)
    torch.manual_seed(derive_seed(stage.seed, stage.name))
    module = AutoencoderTraining(settings, data.factor, stage.runtime.weights_dir)
    module.degradation = make_degradation(data, stage.seed)
    start_from(
        settings.init_from,
        module.autoencoder,
        settings.network,
        section="autoencoder",
        file=AUTOENCODER,
        missing_allowed=module.autoencoder.missing_allowed,
    )
    fit(
        module,
        train,
        validation,
        runtime=stage.runtime,
        seed=stage.seed,
        scratch=stage.scratch,
        recorder=stage.recorder,
    )
    save_autoencoder(
        OUT, FirstStageConfig(factor=data.factor, autoencoder=settings.network), module.autoencoder
    )
    stage.identify(OUT)


if __name__ == "__main__":
    run_stage("autoencoder", main, upstream=["crop"])
