"""Stage: train the latent diffusion model."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from arbiscale.config.data import DataSettings
from arbiscale.config.diffusion import DiffusionSettings
from arbiscale.data.buckets import Buckets
from arbiscale.data.dataset import CropDataset, training_batches, training_streams
from arbiscale.data.degradation import make_degradation
from arbiscale.models.device import choose_device, worker_count
from arbiscale.models.folder import (
    DENOISER,
    DiffusionConfig,
    build_latent_diffusion,
    load_autoencoder,
    read_config,
    save_latent_diffusion,
)
from arbiscale.models.initialisation import start_from
from arbiscale.models.latent_space import LatentStatistics, measure_statistics
from arbiscale.pipeline.stage import Stage, run_stage
from arbiscale.training.diffusion import DiffusionTraining
from arbiscale.training.fit import fit
from arbiscale.training.latent_cache import EncodedStream, encode_stream
from arbiscale.training.module import derive_seed

CROPS, FIRST_STAGE = Path("data/crops"), Path("models/autoencoder")
OUT = Path("models/diffusion")
STATISTICS_BATCHES = 8


def main(stage: Stage) -> None:
    """Fill models/diffusion from data/crops and models/autoencoder."""
    settings = stage.settings("diffusion", DiffusionSettings)
    data = stage.settings("data", DataSettings)
    train, validation = training_streams(CROPS, data.augmentation, stage.seed, settings.training.batch_size)
    first_stage = read_config(FIRST_STAGE)
    device = choose_device(stage.runtime.device)
    autoencoder = load_autoencoder(FIRST_STAGE, first_stage.autoencoder).to(device)
    first = training_batches(train, settings.training.batch_size, range(STATISTICS_BATCHES), workers=0)
    torch.manual_seed(derive_seed(stage.seed, stage.name, "statistics"))
    measured = stage.remember(
        "statistics", lambda: asdict(measure_statistics(autoencoder, first, settings.latent_normalization))
    )
    statistics = LatentStatistics(**measured)
    downsampling = autoencoder.downsampling
    sizes = [each.size for each in train.streams]
    latent_sizes = [(height // downsampling, width // downsampling) for height, width in sizes]
    latent_px = data.augmentation.crop_px // downsampling
    diffusion = DiffusionConfig.of(settings, statistics, latent_px, latent_sizes)
    config = first_stage.model_copy(update={"diffusion": diffusion})
    torch.manual_seed(derive_seed(stage.seed, stage.name))
    model = build_latent_diffusion(config, autoencoder.cpu())
    start_from(
        settings.init_from,
        model.denoiser,
        settings.denoiser,
        section="diffusion.denoiser",
        file=DENOISER,
        missing_allowed=model.denoiser.missing_allowed,
    )
    encoded = settings.cache_latents > 0
    training = DiffusionTraining(settings.training, settings.lr, model, encoded=encoded)
    training.degradation = make_degradation(data, stage.seed)
    fit(
        training,
        _encode_once(stage, training, train, settings.cache_latents) if encoded else train,
        validation,
        runtime=stage.runtime,
        seed=stage.seed,
        scratch=stage.scratch,
        recorder=stage.recorder,
    )
    save_latent_diffusion(OUT, config, model)
    stage.identify(OUT)


def _encode_once(
    stage: Stage, training: DiffusionTraining, train: Buckets[CropDataset], views: int
) -> Buckets[EncodedStream]:
    """The streams of so many samples of every crop, encoded into the folder of the stage's state."""
    device = choose_device(stage.runtime.device)
    training.to(device)

    def encoded(number: int) -> EncodedStream:
        place, count = f"latents/{number}", views * train.counts[number]

        def encode(images: Tensor, samples: range) -> Tensor:
            batch = train.batch_of(number, samples.start // train.batch_size)
            first = batch * train.batch_size  # what befalls a sample is decided by its number among all
            training.samples = range(first, first + len(samples))
            return training.encode(images.to(device))

        def write() -> dict[str, int]:
            workers = worker_count(stage.runtime.workers, device)
            encode_stream(
                encode, train.streams[number], count, train.batch_size, stage.scratch / place, workers
            )
            return {"samples": count}

        stage.remember(f"{place}/index", write)
        return EncodedStream(stage.scratch / place, count, train.batch_size, stage.seed)

    streams = [encoded(number) for number in range(len(train.streams))]
    return Buckets(streams, train.counts, train.batch_size, stage.seed)


if __name__ == "__main__":
    run_stage("diffusion", main, upstream=["crop", "autoencoder"])
