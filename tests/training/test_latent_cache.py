"""Latents encoded once: the same training as with an encoder in every step, then other orders of the same."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from arbiscale.config.degradation import RealisticSettings
from arbiscale.config.runtime import RuntimeSettings
from arbiscale.config.training import TrainingSettings
from arbiscale.data.degradation import Degradation
from arbiscale.errors import UserError
from arbiscale.models.latent_diffusion import LatentDiffusion
from arbiscale.training import latent_cache
from arbiscale.training.diffusion import DiffusionTraining
from arbiscale.training.fit import fit
from arbiscale.training.latent_cache import EncodedStream, encode_stream


def numbered(images: Tensor, samples: range) -> Tensor:
    """Tells samples apart by their first value."""
    return images[:, :1, :1, :1]


def encode(module: DiffusionTraining, images: Tensor, samples: range) -> Tensor:
    module.samples = samples
    return module.encode(images)


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latent_cache, "_BATCHES", 2)


@pytest.mark.parametrize(
    ("task", "posterior", "degradation"),
    [
        ("super_resolution", "deterministic", None),
        ("super_resolution", "deterministic", Degradation(RealisticSettings(), 0)),
        ("super_resolution", "gaussian", None),
        ("generation", "deterministic", None),
        ("generation", "gaussian", None),
    ],
)
def test_a_training_on_what_was_encoded_once_ends_with_the_same_bits(
    model: Callable[..., LatentDiffusion],
    training_settings: Callable[..., TrainingSettings],
    crops: Callable[..., Any],
    images: Tensor,
    runtime: RuntimeSettings,
    recorder: Any,
    tmp_path: Path,
    task: str,
    posterior: str,
    degradation: Degradation | None,
) -> None:
    settings = training_settings(steps=6)
    folder, count = tmp_path / "latents", settings.steps * settings.batch_size
    weights = []
    for encoded in (False, True):
        module = DiffusionTraining(settings, 1e-3, model(task, posterior=posterior), encoded=encoded)
        module.degradation = degradation
        train = crops()
        if encoded:
            encode_stream(partial(encode, module), train, count, settings.batch_size, folder)
            train = EncodedStream(folder, count, settings.batch_size, seed=0)
        scratch = tmp_path / str(encoded)
        scratch.mkdir()
        fit(module, train, [images], runtime=runtime, seed=0, scratch=scratch, recorder=recorder)
        weights.append(module.model.denoiser.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_later_passes_show_each_sample_once_in_an_order_of_their_own(
    crops: Callable[..., Any], tmp_path: Path
) -> None:
    train = crops()
    encode_stream(numbered, train, 7, 2, tmp_path)
    assert [np.load(path).shape for path in sorted(tmp_path.iterdir())] == [(4, 1, 1, 1), (3, 1, 1, 1)]
    stream = EncodedStream(tmp_path, 7, 2, seed=3)
    passes = [[float(stream[7 * number + i]) for i in range(7)] for number in range(3)]
    assert passes[0] == [float(train[i][0, 0, 0]) for i in range(7)]
    assert sorted(passes[0]) == sorted(passes[1]) == sorted(passes[2])
    assert passes[0] != passes[1] != passes[2]


def test_what_a_killed_process_encoded_is_kept(crops: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="the power went out"):
        encode_stream(numbered, crops(end=6), 8, 2, tmp_path)
    (kept,) = tmp_path.iterdir()
    before = kept.stat().st_mtime_ns
    train = crops()
    encode_stream(numbered, train, 8, 2, tmp_path)
    assert kept.stat().st_mtime_ns == before
    assert min(train.read) == 4
    stream = EncodedStream(tmp_path, 8, 2, seed=0)
    assert [float(stream[i]) for i in range(8)] == [float(crops()[i][0, 0, 0]) for i in range(8)]


def test_a_damaged_shard_is_named(crops: Callable[..., Any], tmp_path: Path) -> None:
    encode_stream(numbered, crops(), 4, 2, tmp_path)
    (shard,) = tmp_path.iterdir()
    shard.write_bytes(b"")
    with pytest.raises(UserError, match=r"00000\.npy: cannot be read"):
        EncodedStream(tmp_path, 4, 2, seed=0)[0]
