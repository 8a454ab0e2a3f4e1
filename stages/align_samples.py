"""Stage: align the denoiser with the decoder on the image at the end of a short chain."""

from __future__ import annotations

from pathlib import Path

from arbiscale.config.align import AlignSettings
from arbiscale.config.data import DataSettings
from arbiscale.data.dataset import training_streams
from arbiscale.data.degradation import make_degradation
from arbiscale.models.folder import load_latent_diffusion, read_config, save_latent_diffusion
from arbiscale.pipeline.stage import Stage, run_stage
from arbiscale.training.alignment import SampleAlignment
from arbiscale.training.fit import fit

CROPS, ALIGNED = Path("data/crops"), Path("models/align_timesteps")
OUT = Path("models/align_samples")


def main(stage: Stage) -> None:
    """Fill models/align_samples from data/crops and models/align_timesteps."""
    settings = stage.settings("align", AlignSettings)
    data = stage.settings("data", DataSettings)
    batch_size = settings.samples.training.batch_size
    train, validation = training_streams(CROPS, data.augmentation, stage.seed, batch_size)
    model = load_latent_diffusion(ALIGNED)
    module = SampleAlignment(settings, model, stage.runtime.weights_dir)
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
    config = read_config(ALIGNED).model_copy(update={"sampling": settings.samples.sampling})
    save_latent_diffusion(OUT, config, model)
    stage.identify(OUT)


if __name__ == "__main__":
    run_stage("align_samples", main, upstream=["crop", "align_timesteps"])
