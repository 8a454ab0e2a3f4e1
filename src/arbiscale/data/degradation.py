"""Realistic low-resolution pictures: blurred, noisy, compressed, a function of (seed, sample)."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Sequence

import albumentations
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arbiscale.config.data import DataSettings
from arbiscale.config.degradation import BlurSettings, JPEGSettings, NoiseSettings, RealisticSettings
from arbiscale.imaging.coordinates import Size
from arbiscale.imaging.resize import Kernel, resize

Sample = int | str  # number in the stream of samples, or name of a picture
_KERNELS: tuple[Kernel, ...] = ("bilinear", "bicubic")
_LEVELS = 255
_JUST_GAUSSIAN = (1 - 1e-9, 1 + 1e-9)  # exponents of generalised ones; bounds around 1 are demanded


class Degradation:
    """Makes low-resolution images as photographs come: see `RealisticSettings`.

    Args:
        settings: rounds, probabilities and strengths.
        seed: of all that is drawn.
    """

    def __init__(self, settings: RealisticSettings, seed: int) -> None:
        self._settings, self._seed = settings, seed
        steps = [_blur(settings.blur), _noise(settings.noise), _jpeg(settings.jpeg)]
        self._damage = albumentations.Compose(steps)

    def __call__(self, fine: Tensor, size: Size, samples: Sequence[Sample]) -> Tensor:
        """The low-resolution versions of images.

        All but the first resizing happens at about the low resolution, as it does to a photograph that was
        small when it was sent around: sigmas are of its pixels, and JPEG's blocks lie on them.

        Args:
            fine: shape (batch, 3, height, width), in [-1, 1].
            size: (height, width) of the result.
            samples: which each image is; the same one is always degraded alike, whatever is beside it.

        Returns:
            Shape (batch, 3, *size), in [-1, 1], of 8-bit values, on the device of `fine`.
        """
        images = fine.detach().float().cpu().split(1)
        low = [self._one(image, size, sample) for image, sample in zip(images, samples, strict=True)]
        return torch.cat(low).to(fine.device)

    def _one(self, image: Tensor, size: Size, sample: Sample) -> Tensor:
        digest = hashlib.blake2b(f"degradation/{self._seed}/{sample}".encode(), digest_size=16).digest()
        seed = int.from_bytes(digest)
        generator = np.random.default_rng(seed)
        # One state for all: see `Augmentation`.
        self._damage.set_random_state(generator, random.Random(seed))
        largest = (image.shape[-2], image.shape[-1])
        for _ in range(self._settings.rounds):
            image = resize(image, self._round_size(size, largest, generator), _kernel(generator))
            image = _image(self._damage(image=_pixels(image))["image"])
        image = resize(image, size, _kernel(generator)).clamp(-1, 1)
        return image.add(1).mul(_LEVELS / 2).round().div(_LEVELS / 2).sub(1)

    def _round_size(self, size: Size, largest: Size, generator: np.random.Generator) -> Size:
        """The low resolution, or another; never larger than what it is made from."""
        settings, chance = self._settings.resize, generator.random()
        low, high = settings.factors
        factor = generator.uniform(low, high)
        if chance >= settings.probability:
            factor = 1.0
        height, width = (
            min(most, max(1, round(side * factor))) for side, most in zip(size, largest, strict=True)
        )
        return height, width


def make_degradation(data: DataSettings, seed: int) -> Degradation | None:
    """What trainings do to low-resolution images beside shrinking; None = nothing."""
    return Degradation(data.realistic, seed) if data.degradation == "realistic" else None


def _blur(settings: BlurSettings) -> albumentations.BasicTransform:
    width_px = 2 * math.ceil(3 * settings.sigma_px[1]) + 1
    sigmas = tuple(settings.sigma_px)
    return albumentations.AdvancedBlur(
        blur_limit=(width_px, width_px),
        sigma_x_limit=sigmas,
        sigma_y_limit=sigmas,
        rotate_limit=(-90, 90),
        beta_limit=_JUST_GAUSSIAN,
        noise_limit=(1, 1),
        p=settings.probability,
    )


def _noise(settings: NoiseSettings) -> albumentations.OneOf:
    low, high = (level / _LEVELS for level in settings.deviation)
    shares = {True: 1 - settings.grey, False: settings.grey}  # by whether it is of every colour
    kinds = [
        albumentations.GaussNoise(std_range=(low, high), per_channel=coloured, p=share)
        for coloured, share in shares.items()
        if share
    ]
    return albumentations.OneOf(kinds, p=settings.probability)


def _jpeg(settings: JPEGSettings) -> albumentations.BasicTransform:
    low, high = settings.quality
    return albumentations.ImageCompression(quality_range=(low, high), p=settings.probability)


def _kernel(generator: np.random.Generator) -> Kernel:
    return _KERNELS[int(generator.integers(len(_KERNELS)))]


def _pixels(image: Tensor) -> NDArray[np.float32]:
    """What OpenCV takes: values in [0, 1], blue first, as JPEG's luma weighs the colours.

    Fractions of a grey level matter: albumentations cuts off those of noise on 8-bit pixels.
    """
    planes = image[0].flip(0).permute(1, 2, 0).add(1).div(2).clamp(0, 1)
    return np.ascontiguousarray(planes.numpy())


def _image(pixels: NDArray[np.float32]) -> Tensor:
    """The reverse."""
    return torch.from_numpy(pixels).permute(2, 0, 1).flip(0)[None].mul(2).sub(1)
