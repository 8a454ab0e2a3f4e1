"""Protocols: their sizes and borders, and that bicubic gives the literature's values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pandas.testing import assert_frame_equal
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from arbiscale.config.degradation import RealisticSettings
from arbiscale.data.degradation import Degradation
from arbiscale.evaluation.held_out import HeldOutPhotograph, HeldOutPicture, cut_random_crops, pictures_below
from arbiscale.evaluation.pairs import Pairs, Preparation, resized
from arbiscale.evaluation.pictures import Truth, as_shown
from arbiscale.evaluation.protocols import BENCHMARK, CROPS, DIV2K, FACES, REALISTIC, SAMPLE, Protocol
from arbiscale.imaging.coordinates import Size
from arbiscale.imaging.pixels import to_tensor
from arbiscale.inference.loading import load_model
from arbiscale.inference.model import Model
from arbiscale.interop import import_local_implicit
from tests.stand_ins import NO_NETWORKS, still, texture, upscaled

Make = Callable[..., Any]
LITERATURE = [  # bicubic's PSNR in dB, as in LapSRN's, EDSR's and RCAN's tables
    ("set5/x2_HR", 2, 33.66, 0.04),
    ("set5/x3_HR", 3, 30.39, 0.04),
    ("set5/x4_HR", 4, 28.42, 0.04),
    ("b100/HR_jpg", 2, 29.56, 0.02),
    ("b100/HR_jpg", 3, 27.21, 0.02),
    ("b100/HR_jpg", 4, 25.96, 0.02),
]


def pairs_of(protocol: Protocol, pictures: Sequence[HeldOutPicture], scale: float) -> Iterator[Pairs]:
    preparation = Preparation(protocol, pictures, [scale])
    for prepared in preparation.load(range(len(pictures)), 0):
        yield preparation.together([prepared], scale, torch.device("cpu"))


def picture(height: int, width: int) -> HeldOutPicture:
    return still("p", texture(max(height, width), 0)[:height, :width])


@pytest.mark.parametrize(("folder", "scale", "expected", "tolerance"), LITERATURE)
def test_bicubic_reproduces_the_literature(
    shared: Path, folder: str, scale: int, expected: float, tolerance: float
) -> None:
    images = pictures_below(str(shared / "data/benchmarks" / folder), "key")
    found = []
    for pairs in pairs_of(BENCHMARK, images, scale):
        drawn = resized(BENCHMARK, pairs.low, (pairs.truth.shape[-2], pairs.truth.shape[-1]))
        truth = Truth(as_shown(pairs.truth), NO_NETWORKS, channels="y", shave_px=scale)
        found += truth.compare(as_shown(drawn))["psnr"].tolist()
    assert sum(found) / len(found) == pytest.approx(expected, abs=tolerance)


def test_realistic_low_resolutions_are_functions_of_seed_and_picture() -> None:
    degradation = Degradation(RealisticSettings(), 5)
    pictures = [still(name, texture(64, seed)) for seed, name in enumerate("ab")]
    (first, second), (alone,), (clean, _) = (
        [preparation[number].pairs for number in range(len(preparation))]
        for preparation in (
            Preparation(REALISTIC, pictures, [2.0, 4.0], degradation),
            Preparation(REALISTIC, pictures[1:], [4.0], degradation),
            Preparation(SAMPLE, pictures, [2.0, 4.0], degradation),
        )
    )
    assert torch.equal(second[4.0][1], alone[4.0][1])
    for scale, side in ((2.0, 32), (4.0, 16)):
        assert torch.equal(first[scale][0], clean[scale][0])
        assert first[scale][1].shape == clean[scale][1].shape == (3, side, side)
        assert not torch.equal(first[scale][1], clean[scale][1])
    expected = degradation(to_tensor(texture(64, 0)), (16, 16), ["a"])[0]
    assert torch.equal(first[4.0][1].float(), ((expected + 1) * 127.5).round())
    assert [*REALISTIC.groups("", [2.7, 4])] == ["realistic/x2.7", "realistic/x4"]


def test_a_realistic_protocol_needs_its_chain() -> None:
    with pytest.raises(ValueError, match="realistic: has no degradation"):
        Preparation(REALISTIC, [picture(8, 8)], [2.0])


@pytest.fixture(scope="session")
def official_liif(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("liif") / "liif"
    import_local_implicit(shared / "weights" / "liif_edsr_baseline.pth", folder)
    return load_model(folder, "cpu")


@pytest.mark.parametrize(("scale", "expected"), [(2, 37.99), (3, 34.40), (4, 32.24)])
def test_the_official_liif_reproduces_the_literature(
    shared: Path, official_liif: Model, scale: int, expected: float
) -> None:
    images = pictures_below(str(shared / f"data/benchmarks/set5/x{scale}_HR"), "key")
    found = []
    for pairs in pairs_of(BENCHMARK, images, scale):
        size = (pairs.truth.shape[-2], pairs.truth.shape[-1])
        drawn = official_liif.decode(official_liif.sample_latents(pairs.low), size)
        truth = Truth(as_shown(pairs.truth), NO_NETWORKS, channels="y", shave_px=scale)
        found += truth.compare(as_shown(drawn))["psnr"].tolist()
    assert sum(found) / len(found) == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize(
    ("protocol", "size", "scale", "truth", "low", "shave"),
    [
        (BENCHMARK, (481, 321), 4, (480, 320), (120, 80), 4),
        (BENCHMARK, (100, 64), 2.7, (100, 62), (37, 23), 3),
        (DIV2K, (481, 321), 3, (480, 321), (160, 107), 9),
        (FACES, (256, 256), 10.7, (171, 171), (16, 16), 0),
        (FACES, (300, 256), 5.3, (85, 85), (16, 16), 0),
        (CROPS, (192, 192), 17, (192, 192), (11, 11), 0),
        (SAMPLE, (256, 256), 2.7, (256, 256), (95, 95), 0),
    ],
)
def test_sizes_and_borders(
    protocol: Protocol, size: Size, scale: float, truth: Size, low: Size, shave: int
) -> None:
    (pairs,) = pairs_of(protocol, [picture(*size)], scale)
    assert pairs.truth.shape == (1, 3, *truth)
    assert pairs.low.shape == (1, 3, *low)
    assert protocol.shave_px(scale) == shave
    levels = (pairs.low + 1) * 127.5
    assert torch.allclose(levels, levels.round(), atol=1e-3)


def test_y_after_the_shave_equals_an_independent_implementation() -> None:
    truth, image = (texture(48, seed) for seed in (0, 1))
    drawn, known = (torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255 for pixels in (image, truth))
    found = Truth(known, NO_NETWORKS, channels="y", shave_px=4).compare(drawn)
    y_image, y_truth = (rgb2ycbcr(pixels)[4:-4, 4:-4, 0] for pixels in (image, truth))
    gaussian = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    assert found["psnr"].tolist() == pytest.approx(
        [peak_signal_noise_ratio(y_truth, y_image, data_range=255)], abs=1e-3
    )
    expected = structural_similarity(y_truth, y_image, data_range=255, **gaussian)
    assert found["ssim"].tolist() == pytest.approx([expected], abs=1e-3)


def evaluate(make: Make, images: list[HeldOutPicture], protocol: Protocol, scales: list[float]) -> Any:
    models = {"autoencoder": make("reconstruction"), "diffusion": make("super_resolution")}
    return upscaled(
        models, images, scales, seed=0, networks=NO_NETWORKS, protocol=protocol, dataset="set",
        extra={"other": make("super_resolution", 0.1)},
    )  # fmt: skip


def test_pictures_of_different_sizes_make_one_table_with_extra_rows(stand_in: Make) -> None:
    images = [picture(65, 49), still("q", texture(72, 3))]
    evaluation = evaluate(stand_in, images, BENCHMARK, [4])
    rows = evaluation.means()["benchmark/set/x4"]
    assert list(rows) == ["bicubic", "lanczos", "autoencoder", "diffusion", "other"]
    assert rows["autoencoder"]["psnr"] == 100
    assert rows["other"]["colour_shift"] > 10
    assert rows["bicubic"]["colour_shift"] < 2
    assert rows["diffusion"]["fps"] > 0
    assert [each.title for each in evaluation.comparisons["benchmark/set/x4"]] == ["p", "q"]


def test_the_same_twice_and_whatever_else_is_in_the_folder(stand_in: Make) -> None:
    images = [picture(65, 49), still("q", texture(72, 3))]
    both, again = (evaluate(stand_in, images, BENCHMARK, [3]).scores for _ in range(2))
    alone = evaluate(stand_in, images[1:], BENCHMARK, [3]).scores
    assert_frame_equal(both.drop(columns="seconds"), again.drop(columns="seconds"))
    q = both[both.picture == "q"].reset_index(drop=True)
    assert_frame_equal(q.drop(columns="seconds"), alone.drop(columns="seconds"))


def test_too_small_pictures_are_left_out_or_lack_ssim_and_the_rest_stands(stand_in: Make) -> None:
    tiny = still("tiny", texture(8, 1))
    narrow = still("narrow", texture(64, 1)[:, :16])
    evaluation = evaluate(stand_in, [tiny, narrow, picture(64, 64)], BENCHMARK, [2, 4])
    problems = evaluation.problems()
    assert "benchmark: tiny of 8x8 px is too small for x4 and left out" in problems
    assert "benchmark/set/x4: 1 of 2 pictures are too small for ssim (11 px)" in problems
    means = evaluation.means()["benchmark/set/x4"]["bicubic"]
    assert "ssim" not in means
    assert means["psnr"] > 10


def test_a_constant_picture_has_numbers(stand_in: Make) -> None:
    constant = still("grey", np.full((64, 64, 3), 128, np.uint8))
    means = evaluate(stand_in, [constant], BENCHMARK, [2]).means()["benchmark/set/x2"]["bicubic"]
    assert (means["psnr"], means["ssim"]) == (100, pytest.approx(1))


def test_random_crops_follow_the_seed_and_the_photographs_name() -> None:
    photographs = [HeldOutPhotograph(name, Path(name), name, (300, 260)) for name in "ab"]
    first, again = (cut_random_crops(photographs, 192, 2, seed=0) for _ in range(2))
    assert [crop.photograph for crop in first] == ["a", "b", "a", "b"]
    assert first == again
    assert first[0].region != cut_random_crops(photographs, 192, 2, seed=1)[0].region
    assert cut_random_crops(photographs[1:], 192, 2, seed=0) == [first[1], first[3]]
