"""Rows of generation: one latent at several sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from arbiscale.config.sizes import parse_size
from arbiscale.evaluation.generation import Generation, Reconstruction
from arbiscale.evaluation.nearest import TrainingCrops
from arbiscale.evaluation.scores import Evaluation
from arbiscale.imaging.proportions import in_groups
from tests.conftest import photograph
from tests.stand_ins import NO_NETWORKS, Still, evaluated

Make = Callable[..., Any]
SIZES = [(64, 64), (48, 80)]


def generated(model: Any) -> Evaluation:
    return evaluated(lambda album: Generation("diffusion", model, [SIZES], 3, 5, album))


def reconstructed(model: Any, crops: list[Still]) -> Evaluation:
    return evaluated(lambda album: Reconstruction("autoencoder", model, crops, NO_NETWORKS, album))


def test_known_pictures_have_known_scores(stand_in: Make, crops: list[Still]) -> None:
    rows = reconstructed(stand_in("reconstruction"), crops).means()["reconstruction"]
    assert rows["autoencoder"]["psnr"] == 100
    assert rows["autoencoder"]["fps"] > 0
    means = generated(stand_in("generation")).means()
    assert list(means) == ["generation/64x64", "generation/48x80"]
    for found in means.values():
        assert found["diffusion"]["self_ssim"] == pytest.approx(1, abs=0.02)
        assert "grid_energy" in found["diffusion"]


def test_comparisons_show_every_size(stand_in: Make, crops: list[Still]) -> None:
    shown = reconstructed(stand_in("reconstruction"), crops).comparisons["reconstruction"]
    assert [comparison.title for comparison in shown] == ["a", "b"]
    assert [*shown[0].pictures] == ["autoencoder", "ground truth"]
    assert shown[0].metrics["autoencoder"]["psnr"] == 100
    drawn = generated(stand_in("generation")).comparisons["generation/diffusion"]
    shapes = {label: pixels.shape for label, pixels in drawn[0].pictures.items()}
    assert shapes == {"64x64": (64, 64, 3), "48x80": (48, 80, 3)}
    assert len({comparison.pictures["64x64"].tobytes() for comparison in drawn}) == 3


def test_pictures_with_nan_are_said(stand_in: Make) -> None:
    evaluation = generated(stand_in("generation", torch.nan))
    assert "self_ssim" not in evaluation.means()["generation/64x64"]["diffusion"]
    assert evaluation.problems() == [
        f"generation/{size}/diffusion: 3 of 3 pictures hold NaN or infinity" for size in ("64x64", "48x80")
    ]


def test_sizes_are_read_height_first() -> None:
    assert parse_size("160x224") == (160, 224)


def test_the_nearest_training_crop_stands_beside_every_picture(stand_in: Make) -> None:
    training = TrainingCrops({(64, 64): [photograph(64, 64, seed) for seed in range(3)]})
    model = stand_in("generation")
    drawn = evaluated(lambda album: Generation("diffusion", model, [SIZES], 2, 5, album, training=training))
    for comparison in drawn.comparisons["generation/diffusion"]:
        assert [*comparison.pictures] == ["64x64", "48x80", "nearest training crop"]
        assert comparison.pictures["nearest training crop"].shape == (64, 64, 3)


SHAPES = [(64, 64), (48, 80)]


def test_every_shape_has_latents_of_its_own(stand_in: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    training = TrainingCrops({size: [photograph(*size, seed) for seed in range(3)] for size in SHAPES})
    model, asked = stand_in("generation"), []
    latent_size_for = model.latent_size_for
    monkeypatch.setattr(model, "latent_size_for", lambda size: asked.append(size) or latent_size_for(size))
    sizes = in_groups([(64, 64), (48, 80), (32, 32)], SHAPES)
    drawn = evaluated(lambda album: Generation("diffusion", model, sizes, 2, 5, album, training=training))
    assert [*dict.fromkeys(asked)] == [(64, 64), (48, 80)]
    means = drawn.means()
    assert list(means) == ["generation/64x64", "generation/32x32", "generation/48x80"]
    assert "self_ssim" in means["generation/32x32"]["diffusion"]
    assert "self_ssim" not in means["generation/48x80"]["diffusion"]  # alone of its shape
    for comparison in drawn.comparisons["generation/diffusion"]:
        shapes = {label: pixels.shape[:2] for label, pixels in comparison.pictures.items()}
        assert shapes == {
            "64x64": (64, 64),
            "32x32": (32, 32),
            "nearest training crop": (64, 64),
            "48x80": (48, 80),
            "nearest training crop, 48x80": (48, 80),
        }
