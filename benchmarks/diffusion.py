"""A step of the diffusion stage against a straight transcription of the published one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from arbiscale.config.params import Params
from arbiscale.imaging.resize import condition_image, shrink
from arbiscale.models.latent_diffusion import LatentDiffusion
from arbiscale.training.averaging import WeightAveraging
from arbiscale.training.diffusion import DiffusionTraining
from arbiscale.training.untrained import untrained_model
from benchmarks.figures import Figure
from benchmarks.measure import median_seconds

LEAST_SPEEDUP = 2.0


def diffusion_steps(params: Params, name: str, device: torch.device, runs: int) -> Iterator[Figure]:
    """Seconds of a step as published, with the encoder in every step, and on latents encoded once."""
    title = f"diffusion step, {name}, batch of {params.diffusion.training.batch_size}"
    published = median_seconds(PublishedStep(params, device), runs, device)
    yield Figure(title, "as published, s", published)
    yield Figure(title, "with the encoder, s", median_seconds(own_step(params, device), runs, device))
    cached = median_seconds(own_step(params, device, encoded=True), runs, device)
    yield Figure(title, "on latents encoded once, s", cached)
    yield Figure(title, "speedup of the last", published / cached, at_least=LEAST_SPEEDUP)


class PublishedStep:
    """The training step of latent diffusion (arXiv 2112.10752 and its code) as arXiv 2403.10255 uses it.

    In float32, eager: the frozen encoder runs on the crops and on the upsampled low-resolution images, AdamW
    and the average take one tensor after the other.
    """

    def __init__(self, params: Params, device: torch.device) -> None:
        self.model = _model(params, device)
        self.images = _images(params, device)
        self.params = params
        self.optimizer = torch.optim.AdamW(
            self.model.denoiser.parameters(), params.diffusion.lr, foreach=False, fused=False
        )
        self.average = {name: each.clone() for name, each in self.model.denoiser.state_dict().items()}

    def __call__(self) -> None:
        """Take a step."""
        torch.manual_seed(0)
        self.optimizer.zero_grad()
        self.loss().backward()
        self.optimizer.step()
        with torch.no_grad():
            for name, weight in self.model.denoiser.named_parameters():
                kept = self.average[name]
                kept.sub_((1 - self.params.diffusion.training.ema_decay) * (kept - weight))

    def loss(self) -> Tensor:
        """Of the batch."""
        space, process, settings = self.model.space, self.model.process, self.params.diffusion
        with torch.no_grad():
            latent = space.encode(self.images)
            condition = None
            if self.model.factor:
                low = shrink(self.images, self.model.factor)
                upsampled = condition_image(low, self.model.factor, settings.condition_upsampling)
                condition = space.encode(upsampled)
        timestep = torch.randint(process.timesteps, (len(latent),), device=latent.device)
        noise = torch.randn_like(latent)
        signal = process.levels.sqrt()[timestep][:, None, None, None]
        noisy = signal * latent + (1 - signal**2).sqrt() * noise
        predicted = self.model.denoiser(noisy, timestep, condition)
        target = process.target(latent, noise, timestep)
        return nn.functional.mse_loss(predicted, target, reduction="none").mean([1, 2, 3]).mean()


def own_step(params: Params, device: torch.device, *, encoded: bool = False) -> Callable[[], None]:
    """This project's step, as its trainer takes it."""
    settings = params.diffusion
    model = _model(params, device)
    module = DiffusionTraining(settings.training, settings.lr, model, encoded=encoded)
    optimizer = module.configure_optimizers()["optimizer"]
    assert isinstance(optimizer, torch.optim.Optimizer)
    averaging = WeightAveraging(module, settings.training.ema_decay)
    batch = _images(params, device)
    if encoded:
        batch = module.encode(batch)

    def step() -> None:
        torch.manual_seed(0)
        optimizer.zero_grad()
        module.losses(batch)["loss"].backward()
        if settings.training.gradient_clip:
            nn.utils.clip_grad_norm_(model.denoiser.parameters(), settings.training.gradient_clip)
        optimizer.step()
        averaging.on_step_end()

    return step


def _model(params: Params, device: torch.device) -> LatentDiffusion:
    """Of the preset's size, with the published process and without a branch, whatever the preset trains."""
    process = params.diffusion.process.model_copy(update={"kind": "diffusion"})
    network = params.autoencoder.network
    network = network.model_copy(update={"branch": network.branch.model_copy(update={"blocks": 0})})
    published = params.model_copy(
        update={
            "diffusion": params.diffusion.model_copy(update={"process": process}),
            "autoencoder": params.autoencoder.model_copy(update={"network": network}),
        }
    )
    return untrained_model(published)[1].to(device).train()


def _images(params: Params, device: torch.device) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    side_px, count = params.data.augmentation.crop_px, params.diffusion.training.batch_size
    return (torch.rand(count, 3, side_px, side_px, generator=generator) * 2 - 1).to(device)
