"""Trainings that take a second: settings, a stream of crops, a recorder, and modules ready to fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from arbiscale.config.align import AlignSettings
from arbiscale.config.autoencoder import AutoencoderNetworkSettings, AutoencoderSettings
from arbiscale.config.baselines import LIIFSettings, LINFSettings
from arbiscale.config.runtime import RuntimeSettings
from arbiscale.config.training import TrainingSettings
from arbiscale.models.folder import ModelConfig
from arbiscale.models.latent_diffusion import LatentDiffusion
from arbiscale.training.alignment import SampleAlignment, TimestepAlignment
from arbiscale.training.autoencoder import AutoencoderTraining
from arbiscale.training.diffusion import DiffusionTraining
from arbiscale.training.fit import fit
from arbiscale.training.local_implicit import LIIFTraining, LINFTraining
from arbiscale.training.module import TrainingModule

TRAININGS = [  # of one stage; `make_module` knows `linf`, too
    "autoencoder",
    "autoencoder of a Gaussian posterior",
    "diffusion",
    "align_timesteps",
    "align_samples",
    "liif",
]


class Crops(Dataset[Tensor]):
    """An endless stream of square mosaics; remembers what was read, and fails at `end`."""

    def __init__(self, end: int | None = None, side_px: int = 32) -> None:
        self.end = end
        self.tiles = side_px // 4
        self.read: list[int] = []

    def __getitem__(self, index: int) -> Tensor:
        self.read.append(index)
        if index == self.end:
            raise RuntimeError("the power went out")
        tiles = torch.rand(3, self.tiles, self.tiles, generator=torch.Generator().manual_seed(index)) * 2 - 1
        return tiles.repeat_interleave(4, 1).repeat_interleave(4, 2)


@dataclass
class Recorded:
    """A recorder that keeps (step, values), (step, name, shape) and tags."""

    metrics: list[tuple[int | None, dict[str, float]]] = field(default_factory=list)
    images: list[tuple[int | None, str, tuple[int, ...]]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.metrics.append((step, dict(metrics)))

    def log_image(self, name: str, image: np.ndarray, step: int | None = None) -> None:
        assert image.dtype == np.uint8
        self.images.append((step, name, image.shape))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        self.tags |= tags

    def steps_of(self, name: str) -> list[int | None]:
        return [step for step, metrics in self.metrics if name in metrics]


@pytest.fixture
def crops() -> Callable[..., Crops]:
    """Makes streams of crops (3, side_px, side_px); `end` is the sample that cannot be read."""
    return Crops


@pytest.fixture
def recorder() -> Recorded:
    return Recorded()


@pytest.fixture
def images() -> Tensor:
    """Validation crops (2, 3, 32, 32)."""
    stream = Crops()
    return torch.stack([stream[10_000], stream[10_001]])


@pytest.fixture
def training_settings() -> Callable[..., TrainingSettings]:
    """Makes settings of six steps; keywords replace what stands here."""

    def make(**changes: Any) -> TrainingSettings:
        values: dict[str, Any] = {
            "steps": 6,
            "batch_size": 2,
            "schedule": "cosine",
            "warmup_steps": 2,
            "weight_decay": 0.01,
            "gradient_clip": 1.0,
            "ema_decay": 0.9,
            "precision": "float32",
            "skipped_steps_limit": 1,
        }
        return TrainingSettings(**values | changes)

    return make


@pytest.fixture
def runtime() -> RuntimeSettings:
    return RuntimeSettings(
        device="cpu",
        devices=1,
        num_nodes=1,
        accumulate=1,
        threads=0,
        workers=0,
        deterministic="auto",
        log_every_steps=1,
        validate_every_steps=3,
        checkpoint_every_steps=2,
        stall_minutes=0,
        webhook="",
        mlflow_uri="",
        weights_dir="",
    )


@pytest.fixture
def autoencoder_training(
    network_settings: Callable[..., AutoencoderNetworkSettings],
    training_settings: Callable[..., TrainingSettings],
) -> Callable[..., AutoencoderTraining]:
    """Makes first-stage trainings, always of the same weights; keywords replace settings."""

    def make(*, network: Mapping[str, Any] | None = None, **changes: Any) -> AutoencoderTraining:
        values: dict[str, Any] = {
            "target_px": [8, 40],
            "decode_px": 16,
            "latent_dropout": 0.0,
            "lr": 1e-3,
            "init_from": "",
            "kl_weight": 0.0,
            "nll_weight": 1e-2,
            "lpips_weight": 0.0,
            "grid_weight": 0.0,
            "training": training_settings().model_dump(),
            "network": network_settings(**network or {}).model_dump(),
        }
        torch.manual_seed(0)
        return AutoencoderTraining(AutoencoderSettings.model_validate(values | changes), 4, "")

    return make


@pytest.fixture
def baseline_training(training_settings: Callable[..., TrainingSettings]) -> Callable[..., TrainingModule]:
    """Makes trainings of LIIF and LINF, always of the same weights; keywords replace settings."""

    def make(name: str, *, head: Mapping[str, Any] | None = None, **changes: Any) -> Any:
        linf = name == "linf"
        shape = {"width": 8, "layers": 1, "frequencies": 4, "flow_layers": 2, "patch_px": 3 if linf else 1}
        values: dict[str, Any] = {
            "network": {
                "encoder": {"kind": "edsr", "width": 8, "blocks": 1},
                "head": {"kind": "flow" if linf else "liif", **shape} | dict(head or {}),
                "residual": linf,
            },
            "input_px": 8,
            "scales": [1, 4],
            "decode_px": 16,
            "lr": 1e-3,
            "training": training_settings().model_dump(),
        }
        torch.manual_seed(0)
        if not linf:
            return LIIFTraining(LIIFSettings.model_validate(values | changes))
        values["training"] = training_settings(steps=3, schedule="halved").model_dump()
        values["fine_tuning"] = {
            "steps": 6,
            "lr": 5e-4,
            "nll_weight": 5e-4,
            "l1_weight": 1.0,
            "perceptual_weight": 0.0,
            "perceptual_temperature": 0.8,
        } | changes.pop("fine_tuning", {})
        weights_dir = changes.pop("weights_dir", "")
        return LINFTraining(LINFSettings.model_validate(values | changes), weights_dir)

    return make


@pytest.fixture
def align_settings(training_settings: Callable[..., TrainingSettings]) -> Callable[..., AlignSettings]:
    """Makes settings of both alignments; keywords replace what stands here."""

    def make(**changes: Any) -> AlignSettings:
        training = training_settings().model_dump()
        values: dict[str, Any] = {
            "lr": 1e-3,
            "decoder_lr": 0.0,
            "latent_weight": 1.0,
            "image_weight": 1.0,
            "image_norm": "l1",
            "lpips_weight": 0.0,
            "grid_weight": 0.5,
            "nll_weight": 1e-2,
            "weight_clamp": 5.0,
            "decode_px": 16,
            "timesteps": training,
            "samples": {
                "sampling": {"steps": 3, "spacing": "trailing", "eta": 0.0},
                "gradient_steps": 2,
                "training": training,
            },
        }
        return AlignSettings.model_validate(values | changes)

    return make


@pytest.fixture
def model(
    model_config: Callable[..., ModelConfig], make_model: Callable[[ModelConfig], LatentDiffusion]
) -> Callable[..., LatentDiffusion]:
    """Makes latent diffusion models, always of the same weights, by task and prediction."""
    return lambda *arguments, **keywords: make_model(model_config(*arguments, **keywords))


@pytest.fixture
def make_module(
    autoencoder_training: Callable[..., AutoencoderTraining],
    training_settings: Callable[..., TrainingSettings],
    align_settings: Callable[..., AlignSettings],
    baseline_training: Callable[..., TrainingModule],
    model: Callable[..., LatentDiffusion],
) -> Callable[[str], TrainingModule]:
    """Makes the training of a stage, always of the same weights."""

    def make(name: str) -> TrainingModule:
        if name in ("liif", "linf"):
            return baseline_training(name)
        if name == "autoencoder":
            return autoencoder_training()
        if name == "autoencoder of a Gaussian posterior":
            return autoencoder_training(network={"posterior": "gaussian"}, kl_weight=1e-3)
        if name == "diffusion":
            return DiffusionTraining(training_settings(), 1e-3, model())
        if name == "align_timesteps":
            return TimestepAlignment(align_settings(decoder_lr=1e-4), model(), "")
        assert name == "align_samples"
        return SampleAlignment(align_settings(decoder_lr=1e-4), model(), "")

    return make


@pytest.fixture
def run(
    tmp_path: Path, images: Tensor, recorder: Any, runtime: RuntimeSettings
) -> Callable[..., dict[str, Tensor]]:
    """Fits a module in a scratch folder of a name and returns its weights."""

    def run(module: TrainingModule, train: Any, name: str = "scratch", **changes: Any) -> dict[str, Tensor]:
        scratch = tmp_path / name
        scratch.mkdir(exist_ok=True)
        fit(
            module,
            train,
            [images],
            runtime=runtime.model_copy(update=changes),
            seed=0,
            scratch=scratch,
            recorder=recorder,
        )
        assert not module.training
        return {name: tensor.clone() for name, tensor in module.state_dict().items()}

    return run


def different(first: dict[str, Tensor], second: dict[str, Tensor]) -> list[str]:
    """The names of the weights that are not the same to the bit."""
    assert first.keys() == second.keys()
    return [name for name in first if not torch.equal(first[name], second[name])]


@pytest.fixture(autouse=True)
def _deterministic_setting_stays_here() -> Iterator[None]:
    yield
    torch.use_deterministic_algorithms(False)
