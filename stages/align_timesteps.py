"""Stage: align the denoiser with the decoder on one-step estimates from any timestep."""

from __future__ import annotations

from pathlib import Path

from arbiscale.config.align import AlignSettings
from arbiscale.config.data import DataSettings
from arbiscale.data.dataset import training_streams
from arbiscale.data.degradation import make_degradation
from arbiscale.models.folder import load_latent_diffusion, read_config, save_latent_diffusion
from arbiscale.pipeline.stage import Stage, run_stage
from arbiscale.training.alignment import TimestepAlignment
from arbiscale.training.fit import fit

CROPS, TRAINED = Path("data/crops"), Path("models/diffusion")
OUT = Path("models/align_timesteps")


def main(stage: Stage) -> None:
    """Fill models/align_timesteps from data/crops and models/diffusion."""
    settings = stage.settings("align", AlignSettings)
    data = stage.settings("data", DataSettings)
    train, validation = training_streams(CROPS, data.augmentation, stage.seed, settings.timesteps.batch_size)
    model = load_latent_diffusion(TRAINED)
    module = TimestepAlignment(settings, model, stage.runtime.weights_dir)
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
    save_latent_diffusion(OUT, read_config(TRAINED), model)
    stage.identify(OUT)


if __name__ == "__main__":
    run_stage("align_timesteps", main, upstream=["crop", "diffusion"])
