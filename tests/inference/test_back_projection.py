"""Drawings that are, shrunk again, their picture."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

import arbiscale
from arbiscale.imaging.coordinates import Region, Size, crop
from arbiscale.imaging.pixels import to_tensor
from arbiscale.imaging.resize import resize
from arbiscale.inference import back_projection, drawing
from arbiscale.inference import decoding as decoding_module
from arbiscale.inference.back_projection import BackProjection, size_to_compare
from arbiscale.inference.drawing import drawn_px
from arbiscale.inference.latent_model import LatentModel
from arbiscale.inference.model import Model
from arbiscale.metrics.consistency import consistency

SIZES = [(112, 144), (73, 94), (151, 195), (224, 288), (448, 300)]  # of 56x72 px


@pytest.fixture(scope="module")
def shipped() -> Model:
    return arbiscale.load_model("pretrained", "cpu")


def agreement(drawn: np.ndarray, picture: np.ndarray) -> float:
    """PSNR in dB of what was drawn, shrunk again."""
    images, low = ((to_tensor(each) + 1) / 2 for each in (drawn, picture))
    return float(consistency(images, low))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("fidelity", [0.0, 0.4, 1.0])
def test_shrunk_again_it_is_the_picture(
    shipped: Model, photo: np.ndarray, size: Size, fidelity: float
) -> None:
    plain = shipped.upscale(photo, size=size, fidelity=fidelity)
    drawn = shipped.upscale(photo, size=size, fidelity=fidelity, consistent=True)
    assert agreement(drawn, photo) > max(60, agreement(plain, photo) + 6)
    assert np.abs(drawn.astype(int) - plain).mean() < 2  # it stays that drawing


def test_at_its_own_size_it_is_the_picture(shipped: Model, photo: np.ndarray) -> None:
    np.testing.assert_array_equal(shipped.upscale(photo, scale=1, consistent=True), photo)
    assert (shipped.upscale(photo, scale=1) != photo).any()


def test_a_picture_that_the_model_reads_is_held_once(
    shipped: Model, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = shipped.sample(photo)
    monkeypatch.setattr(drawing, "to_tensor", None)
    drawn.back_project()


def test_where_an_axis_shrinks_nothing_changes(shipped: Model, photo: np.ndarray) -> None:
    for size in ((55, 200), (200, 71), (20, 20)):
        drawn = shipped.upscale(photo, size=size, consistent=True)
        np.testing.assert_array_equal(drawn, shipped.upscale(photo, size=size))


@pytest.mark.parametrize("bits", [8, 16])
def test_grey_depth_and_alpha_stay(shipped: Model, photo: np.ndarray, bits: int) -> None:
    grey = photo[..., 1] if bits == 8 else photo[..., 1].astype(np.uint16) * 257
    alpha = np.zeros_like(grey)
    alpha[:, 10:] = np.iinfo(grey.dtype).max
    given = np.stack([grey, alpha], axis=2)
    plain = shipped.upscale(given, scale=2)
    drawn = shipped.upscale(given, scale=2, consistent=True)
    assert (drawn.dtype, drawn.shape) == (grey.dtype, (112, 144, 2))
    np.testing.assert_array_equal(drawn[..., 1], plain[..., 1])
    before, after = (agreement(each[:, 28:, :1], grey[:, 14:, None]) for each in (plain, drawn))
    assert after > before + 3


def test_the_mean_of_8_orientations(shipped: Model, photo: np.ndarray) -> None:
    plain = shipped.upscale(photo, scale=2, self_ensemble=True)
    drawn = shipped.upscale(photo, scale=2, self_ensemble=True, consistent=True)
    assert agreement(drawn, photo) > max(60, agreement(plain, photo) + 6)


@pytest.mark.parametrize("kept", [1 << 22, 1000])
def test_bands_and_regions_are_parts_of_the_whole(
    upscaler: LatentModel, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    for module in (decoding_module, drawing):
        monkeypatch.setattr(module, "KEPT_PIXELS", kept)
    size = (151, 195)
    made = upscaler.sample(photo, tile=32, consistent=True)
    whole = made.draw(size).astype(int)
    assert np.abs(whole - upscaler.sample(photo, tile=32).draw(size)).max() > 2
    assert np.abs(made.region(size, (50, 20, 30, 100)) - whole[50:80, 20:120]).max() <= 1
    monkeypatch.setattr(decoding_module, "_BAND_PIXELS", 7 * size[1])
    again = upscaler.sample(photo, tile=32, consistent=True)
    assert np.abs(np.concatenate([*again.bands(size)]).astype(int) - whole).max() <= 1


@pytest.mark.parametrize("kept", [1 << 22, 1000])
@pytest.mark.parametrize("size", [(151, 195), (40, 195)])
def test_the_pixels_told_are_those_foretold(
    upscaler: LatentModel, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch, kept: int, size: Size
) -> None:
    for module in (decoding_module, drawing):
        monkeypatch.setattr(module, "KEPT_PIXELS", kept)
    told: list[int] = []
    for _ in upscaler.sample(photo, consistent=True).bands(size, advance=told.append):
        pass
    foretold = drawn_px((56, 72), size, consistent=True)
    assert sum(told) == foretold
    twice = kept == 1000 and size[0] > 56
    assert foretold == math.prod(size) + twice * 3 * 56 * 3 * 72
    assert drawn_px((56, 72), size, consistent=False) == math.prod(size)


def test_another_seed_and_fidelity_lack_something_else(shipped: Model, photo: np.ndarray) -> None:
    made = shipped.sample(photo, consistent=True)
    for fidelity in (0.0, 1.0, 0.0):
        expected = shipped.upscale(photo, scale=2, fidelity=fidelity, consistent=True)
        np.testing.assert_array_equal(made.draw((112, 144), fidelity=fidelity), expected)


def test_at_which_size_both_are_compared() -> None:
    picture = (100, 200)
    assert size_to_compare(picture, (270, 530), 1 << 20) == (270, 530)
    assert size_to_compare(picture, (270, 530), 1000) == (300, 600)
    assert size_to_compare(picture, (100, 401), 1000) == (100, 600)
    assert size_to_compare(picture, (5000, 800), 1000) == (800, 800)
    assert size_to_compare(picture, (99, 800), 1 << 20) is None
    assert size_to_compare(picture, (800, 199), 1 << 20) is None


def test_rows_are_told_in_parts_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one pass after the other reads stays within the rows that are held."""
    generator = torch.Generator().manual_seed(0)
    picture = torch.rand(1, 3, 90, 20, generator=generator) - 0.5
    size = (270, 60)
    drawn = resize(picture, size) + 0.2 * torch.rand(1, 3, *size, generator=generator)

    def bands(rows: int) -> Iterator[tuple[Region, Tensor]]:
        for top in range(0, size[0], rows):
            region = (top, 0, min(rows, size[0] - top), size[1])
            yield region, crop(drawn, region)

    def darker(part: Tensor, whole: Size, region: Region) -> Tensor:
        """What depends on the place."""
        assert whole == size
        return part - torch.arange(region[0], region[0] + region[2])[:, None] / 1000

    found = []
    for rows, held in ((270, 90), (7, 10), (64, 33)):
        monkeypatch.setattr(back_projection, "_ROWS", held)
        found.append(BackProjection(picture, 0).lacking(size, None, bands(rows), darker))
    for each in found[1:]:
        torch.testing.assert_close(each, found[0], atol=3e-6, rtol=0)
    nearer = darker(drawn + resize(found[0], size), size, (0, 0, *size))
    before, after = (float((resize(each, (90, 20)) - picture).abs().mean()) for each in (drawn, nearer))
    assert after < before / 10
