"""Rows of super-resolution: known pictures give known numbers, and the control draws another's latent."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from arbiscale.evaluation import pairs
from arbiscale.evaluation.networks import MetricNetworks
from arbiscale.evaluation.rows import of_other_scenes
from arbiscale.evaluation.scores import Evaluation
from arbiscale.metrics.structure_texture import DISTS
from tests.stand_ins import (
    NO_NETWORKS,
    MeanDifference,
    StandIn,
    Still,
    noise_of,
    still,
    texture,
    upscaled,
)

Make = Callable[..., Any]


def evaluate(make: Make, crops: list[Still], scales: list[float], error: float = 0.0) -> Evaluation:
    models = {"autoencoder": make("reconstruction"), "diffusion": make("super_resolution", error)}
    return upscaled(models, crops, scales, seed=0, networks=NO_NETWORKS)


def test_what_a_branch_draws_alone_has_a_row(stand_in: Make, crops: list[Still]) -> None:
    model = stand_in("super_resolution", 0.1)
    model.has_branch = True
    models = {"autoencoder": stand_in("reconstruction"), "diffusion": model}
    evaluation = upscaled(models, crops, [4], seed=0, networks=NO_NETWORKS)
    rows = evaluation.means()["x4"]
    assert list(rows) == ["bicubic", "autoencoder", "diffusion", "without_latent", "other_latent"]
    assert "fps" not in rows["without_latent"]


def test_known_pictures_have_known_scores(stand_in: Make, crops: list[Still]) -> None:
    evaluation = evaluate(stand_in, crops, [4])
    rows = evaluation.means()["x4"]
    assert list(rows) == ["bicubic", "autoencoder", "diffusion", "other_latent"]
    assert rows["autoencoder"]["psnr"] == 100  # at the training factor the latent holds every pixel
    assert rows["autoencoder"]["ssim"] == pytest.approx(1)
    assert rows["diffusion"]["psnr"] == pytest.approx(rows["bicubic"]["psnr"], abs=0.05)
    assert rows["other_latent"]["psnr"] < rows["diffusion"]["psnr"] - 10
    assert rows["other_latent"]["consistency"] < rows["diffusion"]["consistency"] - 5
    assert rows["bicubic"]["self_ssim"] == pytest.approx(1, abs=0.01)
    assert "lpips" not in rows["bicubic"]
    assert "fps" in rows["diffusion"]
    assert "fps" not in rows["other_latent"]
    scores = evaluation.scores
    assert scores[scores.row == "bicubic"].picture.tolist() == ["a-0", "b-0", "a-1", "b-1"]
    assert scores[scores.row == "bicubic"].scene.tolist() == list("abab")


def test_the_bicubic_row_is_pils(stand_in: Make, crops: list[Still]) -> None:
    scores = evaluate(stand_in, crops, [4]).scores
    for crop, found in zip(crops, scores[scores.row == "bicubic"].psnr, strict=True):
        small = Image.fromarray(crop.pixels).resize((16, 16), Image.Resampling.BICUBIC)
        large = np.asarray(small.resize((64, 64), Image.Resampling.BICUBIC), dtype=float)
        expected = 10 * np.log10(255**2 / np.square(large - crop.pixels).mean())
        assert found == pytest.approx(expected, abs=0.1)


def test_scales_need_not_be_whole_nor_divide_the_crop(stand_in: Make, crops: list[Still]) -> None:
    means = evaluate(stand_in, crops, [2.7, 1, 6.4]).means()
    assert list(means) == ["x2.7", "x1", "x6.4"]
    assert means["x1"]["bicubic"]["psnr"] == 100
    bicubic = [means[group]["bicubic"]["psnr"] for group in ("x1", "x2.7", "x6.4")]
    assert bicubic == sorted(bicubic, reverse=True)
    assert "grid_energy" in means["x6.4"]["bicubic"]
    assert "grid_energy" not in means["x1"]["bicubic"]


def test_pictures_with_nan_leave_the_rest_of_the_table_intact(stand_in: Make, crops: list[Still]) -> None:
    evaluation = evaluate(stand_in, crops, [4], error=torch.nan)
    means = evaluation.means()["x4"]
    assert "psnr" not in means["diffusion"]
    assert means["autoencoder"]["psnr"] == 100
    assert evaluation.problems() == [
        "x4/diffusion: 4 of 4 pictures hold NaN or infinity",
        "x4/other_latent: 4 of 4 pictures hold NaN or infinity",
    ]


def test_a_constant_output_is_measured_like_any_other(stand_in: Make, crops: list[Still]) -> None:
    evaluation = evaluate(stand_in, crops, [4], error=-10.0)  # black
    black = evaluation.means()["x4"]["diffusion"]
    expected = [10 * np.log10(255**2 / np.square(crop.pixels.astype(float)).mean()) for crop in crops]
    assert black["psnr"] == pytest.approx(np.mean(expected), abs=1e-3)
    assert black["self_ssim"] == pytest.approx(1)
    assert "lpips" not in black
    assert evaluation.problems() == []


def test_pictures_too_small_for_a_metric_are_said_and_the_rest_stands(
    stand_in: Make, vgg16: dict[str, Tensor]
) -> None:
    models = {"autoencoder": stand_in("reconstruction"), "diffusion": stand_in("super_resolution")}
    small = [still("small", np.zeros((12, 12, 3), np.uint8))]
    networks = MetricNetworks({"dists": DISTS(vgg16)})
    evaluation = upscaled(models, small, [2], seed=0, networks=networks)
    means = evaluation.means()["x2"]["bicubic"]
    assert ("dists" in means, means["ssim"]) == (False, pytest.approx(1))
    lines = [line for line in evaluation.problems() if "too small for dists" in line]
    assert lines == ["x2: 1 of 1 pictures are too small for dists (16 px)"], "once for all rows"


def test_comparisons_hold_one_crop_a_photograph_from_input_to_truth(
    stand_in: Make, crops: list[Still]
) -> None:
    comparisons = evaluate(stand_in, crops, [4]).comparisons["x4"]
    assert [comparison.title for comparison in comparisons] == ["a", "b"]
    assert list(comparisons[1].pictures) == [
        "low resolution", "bicubic", "autoencoder", "diffusion", "other_latent", "ground truth",
    ]  # fmt: skip
    assert np.array_equal(comparisons[1].pictures["ground truth"], crops[1].pixels)
    assert np.array_equal(comparisons[1].pictures["autoencoder"], crops[1].pixels)
    low = comparisons[0].pictures["low resolution"]
    assert np.array_equal(low, low[::4, ::4].repeat(4, 0).repeat(4, 1))
    assert comparisons[0].metrics["autoencoder"]["psnr"] == 100


@pytest.mark.parametrize(
    ("scenes", "others"),
    [
        ("abab", [3, 0, 1, 2]),
        ("aabb", [3, 3, 1, 1]),
        ("abbb", [3, 0, 0, 0]),
        ("abc", [2, 0, 1]),
        ("aa", [None, None]),
        ("a", [None]),
    ],
)
def test_the_control_takes_the_latent_of_another_scene(scenes: str, others: list[int | None]) -> None:
    pictures = [still(str(number), texture(1, 0), scene) for number, scene in enumerate(scenes)]
    assert of_other_scenes(pictures) == others


def test_without_another_photograph_there_is_no_control(stand_in: Make, crops: list[Still]) -> None:
    assert "other_latent" not in evaluate(stand_in, crops[::2], [4]).means()["x4"]


class Noisy(StandIn):
    """Draws the stand-in's picture with noise from the seed."""

    def sample_latents(self, low_resolution: Tensor, *, seed: Sequence[int]) -> Tensor:
        latents = super().sample_latents(low_resolution, seed=seed)
        noise = torch.stack([noise_of(own, *latents.shape[1:]) for own in seed])
        return latents + 0.04 * noise  # 5.1 levels of 255


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_equal_inputs_get_noise_of_their_own_whatever_lies_beside_them(
    monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    """A19: every batch drew the same noise, so pictures 0, 2, 4 of batches of 2 were equal."""
    monkeypatch.setattr(pairs, "BATCH_PIXELS", batch * 64**2)
    models = {"autoencoder": StandIn("reconstruction"), "diffusion": Noisy("super_resolution")}
    alike = [still(f"a-{number}", texture(64, 0), "a") for number in range(8)]

    def scores(crops: list[Still]) -> list[float]:
        found = upscaled(models, crops, [4], seed=7).scores
        return found[found.row == "diffusion"].psnr.tolist()

    every = scores(alike)
    assert len({*every}) == len(every)
    assert scores(alike[3:5]) == pytest.approx(every[3:5], rel=1e-6)


def test_diversity_over_seeds_is_that_of_the_noise_and_changes_nothing_else(crops: list[Still]) -> None:
    models = {"autoencoder": StandIn("reconstruction"), "diffusion": Noisy("super_resolution", timesteps=1)}
    networks = MetricNetworks({"lpips": MeanDifference()})
    plain, diverse = (
        upscaled(models, crops, [4], seed=7, networks=networks, samples=seeds).means()["x4"]
        for seeds in (1, 6)
    )
    drawn = diverse["diffusion"]
    assert drawn["diversity_std"] == pytest.approx(5.1, rel=0.05)
    assert drawn["diversity_lpips"] == pytest.approx(2 * 0.04 / np.pi**0.5, rel=0.05)  # of two normal draws
    for row in plain:
        assert "diversity_std" not in plain[row]
        assert ("diversity_std" in diverse[row]) == (row == "diffusion")
        shared = plain[row].keys() - {"fps"}
        assert {name: diverse[row][name] for name in shared} == {name: plain[row][name] for name in shared}


def test_diversity_without_its_network_keeps_the_pixels(crops: list[Still]) -> None:
    models = {"autoencoder": StandIn("reconstruction"), "diffusion": Noisy("super_resolution", timesteps=1)}
    rows = upscaled(models, crops, [4], seed=0, networks=NO_NETWORKS, samples=2).means()["x4"]
    assert rows["diffusion"]["diversity_std"] > 0
    assert "diversity_lpips" not in rows["diffusion"]


def test_what_draws_no_noise_is_drawn_once(crops: list[Still]) -> None:
    models = {"autoencoder": StandIn("reconstruction"), "diffusion": StandIn("super_resolution")}
    assert "diversity_std" not in upscaled(models, crops, [4], samples=2).means()["x4"]["diffusion"]


def test_networks_see_the_truth_once_for_all_rows_and_each_draw_once(crops: list[Still]) -> None:
    models = {"autoencoder": StandIn("reconstruction"), "diffusion": Noisy("super_resolution", timesteps=1)}
    network = MeanDifference()
    rows = upscaled(models, crops, [4], networks=MetricNetworks({"lpips": network})).means()["x4"]
    assert network.images == len(crops) * (len(rows) + 1)
    network.images = 0
    upscaled(models, crops, [4], networks=MetricNetworks({"lpips": network}), samples=3)
    assert network.images == len(crops) * (len(rows) + 1 + 3)


def test_an_alignment_that_draws_always_the_same_is_reported(crops: list[Still]) -> None:
    class Aligned(Noisy):
        def sample_latents(self, low_resolution: Tensor, *, seed: Sequence[int]) -> Tensor:
            free, fixed = (
                super(Aligned, self).sample_latents(low_resolution, seed=seeds)
                for seeds in (seed, [0] * len(seed))
            )
            return self.kept * free + (1 - self.kept) * fixed

        kept = 0.0

    models = {
        "autoencoder": StandIn("reconstruction"),
        "diffusion": Noisy("super_resolution", timesteps=1),
        "align_samples": Aligned("super_resolution", timesteps=1),
    }
    networks = MetricNetworks({"lpips": MeanDifference()})
    (said,) = upscaled(models, crops, [4], networks=networks, samples=2).problems()
    assert re.fullmatch(
        r"x4/align_samples: draws differ by an LPIPS of 0\.0000, before alignment by 0\.04\d\d: .*", said
    )
    Aligned.kept = 0.8
    assert upscaled(models, crops, [4], networks=networks, samples=2).problems() == []
