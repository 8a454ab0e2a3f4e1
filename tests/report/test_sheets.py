"""Contact sheets: pictures stand in them pixel for pixel, with the busiest detail magnified."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from arbiscale.evaluation.comparisons import Comparison
from arbiscale.report.sheets import draw_contact_sheet

SIDE_PX = 64


def noise(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def holds(sheet: NDArray[np.uint8], picture: NDArray[np.uint8]) -> bool:
    """Whether the picture stands somewhere in the sheet, unchanged."""
    height, width = picture.shape[:2]
    candidates = np.argwhere((sheet == picture[0, 0]).all(axis=-1))
    return any(np.array_equal(sheet[y : y + height, x : x + width], picture) for y, x in candidates)


def compare(pictures: dict[str, NDArray[np.uint8]], **metrics: float) -> Comparison:
    return Comparison("title", pictures, {"bicubic": metrics})


def test_holds_every_picture_and_the_magnified_detail_of_each() -> None:
    truth = np.full((SIDE_PX, SIDE_PX, 3), 128, np.uint8)
    truth[20:36, 40:56] = noise(16, 16, 0)
    drawn = noise(SIDE_PX, SIDE_PX, 1)
    sheet = draw_contact_sheet("x4", [compare({"bicubic": drawn, "ground truth": truth}, psnr=20.0)])
    assert sheet.dtype == np.uint8
    assert holds(sheet, drawn)
    magnified = drawn[20:36, 40:56].repeat(4, axis=0).repeat(4, axis=1)
    assert holds(sheet, magnified)
    assert holds(sheet, truth[20:36, 40:56].repeat(4, axis=0).repeat(4, axis=1))
    assert (sheet == (255, 140, 0)).all(axis=-1).any(), "the detail is framed in the truth"


def test_pictures_of_several_sizes_stand_side_by_side_without_detail() -> None:
    pictures = {"64x64": noise(64, 64, 0), "48x80": noise(48, 80, 1)}
    sheet = draw_contact_sheet("generation", [compare(pictures)])
    assert all(holds(sheet, picture) for picture in pictures.values())


def test_large_pictures_are_shrunk_and_their_details_are_not() -> None:
    truth, drawn = np.full((800, 640, 3), 128, np.uint8), noise(800, 640, 1)
    truth[320:480, 400:560] = noise(160, 160, 0)
    sheet = draw_contact_sheet("x4", [compare({"bicubic": drawn, "ground truth": truth})])
    assert sheet.shape[0] < 800
    assert sheet.shape[1] < 2 * 640
    assert holds(sheet, drawn[320:480, 400:560].repeat(2, axis=0).repeat(2, axis=1))


def test_numbers_titles_and_credits_are_drawn() -> None:
    pictures = {"bicubic": noise(32, 32, 0), "ground truth": noise(32, 32, 1)}

    def ink(**metrics: float) -> int:
        return int((draw_contact_sheet("x4", [compare(pictures, **metrics)]) < 200).sum())

    assert ink(psnr=20.0, lpips=0.5) > ink(psnr=20.0) > ink()
    assert ink(psnr=20.0, lpips=float("nan")) == ink(psnr=20.0)
    plain = draw_contact_sheet("x4", [compare(pictures)])
    credited = draw_contact_sheet("x4", [compare(pictures)], ["a: Zoë Q. (CC-BY)"] * 9)
    assert credited.shape[0] > plain.shape[0]
    assert credited.shape[1] <= plain.shape[1] + 40, "credits wrap"
