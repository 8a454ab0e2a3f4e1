"""Models without training whose pictures are known: latents are pixels, rearranged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from arbiscale.config.evaluate import EvaluateSettings
from arbiscale.config.sampling import SamplingSettings
from arbiscale.evaluation.comparisons import Album
from arbiscale.evaluation.held_out import HeldOutPicture
from arbiscale.evaluation.networks import MetricNetworks
from arbiscale.evaluation.plan import Plan
from arbiscale.evaluation.protocols import SAMPLE, Protocol
from arbiscale.evaluation.rows import Upscalers
from arbiscale.evaluation.scores import KEYS, Evaluation, score_lines
from arbiscale.evaluation.store import Scratch, Work, measure
from arbiscale.evaluation.suite import finish
from arbiscale.evaluation.super_resolution import SuperResolution
from arbiscale.imaging.coordinates import Size
from arbiscale.imaging.resize import resize

NO_NETWORKS = MetricNetworks({"lpips": None})  # its weights are not at hand


@dataclass
class StandIn:
    """Encodes by space-to-depth, decodes by bicubic resizing; samples the bicubic image plus `error`."""

    task: str
    error: float = 0.0  # added to every sampled value
    factor: int = 4
    downsampling: int = 4
    sampling: SamplingSettings | None = None
    timesteps: int = 0
    has_texture: bool = False
    temperature: float = 0.0
    has_branch: bool = False
    fidelity: float = 0.0
    device = torch.device("cpu")

    def encode(self, image: Tensor) -> Tensor:
        return functional.pixel_unshuffle(image, self.downsampling)

    def decode(
        self,
        latent: Tensor,
        size: Size,
        *,
        low_resolution: Tensor | None = None,
        temperature: float | None = None,
        fidelity: float | None = None,
        seed: Sequence[int] = (),
    ) -> Tensor:
        return resize(functional.pixel_shuffle(latent, self.downsampling), size)

    def sample_latents(self, low_resolution: Tensor, *, seed: Sequence[int]) -> Tensor:
        height, width = low_resolution.shape[-2:]
        return self.encode(resize(low_resolution, (height * self.factor, width * self.factor))) + self.error

    def tiling(self, size: Size, tile: str | int) -> tuple[Size, None]:
        return size, None

    def latent_size_for(self, size: Size) -> Size:
        return size[0] // self.downsampling, size[1] // self.downsampling

    def sharing_latents(self, sizes: Sequence[Size]) -> list[list[Size]]:
        return [[*sizes]]

    def generate_latents(self, count: int, latent_size: Size, *, seed: Sequence[int]) -> Tensor:
        side = (latent_size[0] * self.downsampling, latent_size[1] * self.downsampling)
        noise = torch.stack([noise_of(own, 3, 8, 8) for own in seed])
        assert len(noise) == count
        return self.encode(resize(noise * 0.3, side)) + self.error


def noise_of(seed: int, *shape: int) -> Tensor:
    """Standard normal noise."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


class MeanDifference:
    """In LPIPS's place, of images in [-1, 1]. Counts the images that it sees."""

    def __init__(self, least_px: int = 1) -> None:
        self.least_px, self.images = least_px, 0

    def features(self, images: Tensor) -> Iterator[Tensor]:
        self.images += len(images)
        yield images

    def distance(self, a: Iterable[Tensor], b: Iterable[Tensor]) -> Tensor:
        (one,), (other,) = a, b
        return (one - other).abs().mean(dim=(1, 2, 3))


class FirstValues(nn.Module):
    """In Inception's place: features are an image's first values. Counts the images it sees."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.anchor = nn.Parameter(torch.zeros(1))
        self.features, self.images = features, 0

    def forward(self, images: Tensor) -> Tensor:
        self.images += len(images)
        return images.flatten(1)[:, : self.features]


def texture(side_px: int, seed: int) -> NDArray[np.uint8]:
    """Smooth random texture, uint8 (side_px, side_px, 3)."""
    noise = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
    pixels = resize(noise, (side_px, side_px)).clamp(0, 1).mul(255).round().to(torch.uint8)
    return pixels[0].permute(1, 2, 0).numpy()


@pytest.fixture
def stand_in() -> Callable[..., StandIn]:
    """Makes models of a task."""
    return StandIn


@dataclass(frozen=True)
class Still(HeldOutPicture):
    """A picture without a file."""

    pixels: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((1, 1, 3), np.uint8))

    def read(self) -> NDArray[np.uint8]:
        return self.pixels


def still(name: str, pixels: NDArray[np.uint8], photograph: str = "") -> Still:
    """A picture, of a photograph of its own unless that is named."""
    photograph = photograph or name
    return Still(name, Path(), photograph, photograph, pixels=pixels)


def evaluated(make: Callable[[Album], Work], networks: MetricNetworks = NO_NETWORKS) -> Evaluation:
    """What one process measures of a work."""
    with TemporaryDirectory() as folder:
        scratch = Scratch(Path(folder))
        work = make(scratch.album)
        measure([work], scratch)
        return finish(Plan([work], networks=networks), scratch)


def scored(
    groups: Mapping[str, Mapping[str, Mapping[str, Sequence[float]]]], seconds: float | None = None
) -> Evaluation:
    """An evaluation with these metrics, by group and row, of photographs a, b, c; NaN: it is broken."""
    lines = []
    for group, rows in groups.items():
        for row, metrics in rows.items():
            count = len(next(iter(metrics.values())))
            pictures = [{"picture": name, "photograph": name, "scene": name} for name in "abc"[:count]]
            values = {name: torch.tensor(of_all) for name, of_all in metrics.items()}
            lines += score_lines(group, row, pictures, values["psnr"][:, None], values, seconds=seconds)
    table = pd.DataFrame(lines)
    return Evaluation(table.reindex(columns=[*dict.fromkeys((*KEYS, *table))]))


def upscaled(
    models: Mapping[str, Any],
    pictures: Sequence[HeldOutPicture],
    scales: Sequence[float],
    *,
    seed: int = 0,
    networks: MetricNetworks = NO_NETWORKS,
    protocol: Protocol = SAMPLE,
    dataset: str = "",
    extra: Mapping[str, Any] | None = None,
    samples: int = 1,
) -> Evaluation:
    """An evaluation of super-resolution."""
    upscalers = Upscalers(models, extra or {}, seed, samples)

    def work(album: Album) -> SuperResolution:
        return SuperResolution(protocol, dataset, pictures, scales, upscalers, networks, album)

    return evaluated(work, networks)


@pytest.fixture
def crops() -> list[Still]:
    """Two crops of each of two photographs, 64 px."""
    numbered = [(name, number) for number in range(2) for name in "ab"]
    return [
        still(f"{name}-{number}", texture(64, 2 * "ab".index(name) + number), name)
        for name, number in numbered
    ]


@pytest.fixture
def evaluate_settings() -> Callable[..., EvaluateSettings]:
    """Makes the section `evaluate` for small pictures; keywords replace what stands here."""

    def make(**changes: Any) -> EvaluateSettings:
        values = {
            "protocols": ["sample"],
            "perceptual": ["lpips"],
            "folders": {"div2k": "", "faces": "", "benchmark": []},
            "extra_models": [],
            "temperature": 0,
            "fidelity": 0,
            "trade_off": {"scales": [], "temperatures": [0], "fidelities": [0], "steps": [1, 2], "etas": [0]},
            "crop_px": 64,
            "crops_per_photograph": 1,
            "scales": [4],
            "generation_sizes": ["64x64", "48x80"],
            "generation_count": 2,
            "diversity_seeds": 0,
            "sampling": {"sampler": "ddim", "steps": 2, "spacing": "trailing", "eta": 0.0},
        }
        return EvaluateSettings.model_validate(values | changes)

    return make
