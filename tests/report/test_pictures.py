"""Pictures in the page: without loss, once, and no more than fit."""

from __future__ import annotations

import base64
import io
from zlib import crc32

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from arbiscale.evaluation.comparisons import EXTREME_PX, Comparison
from arbiscale.evaluation.scores import Evaluation
from arbiscale.report.pictures import EmbeddedPictures, select_pictures


def noise(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def decoded(uri: str) -> NDArray[np.uint8]:
    kind, _, encoded = uri.partition(";base64,")
    assert kind in {"data:image/webp", "data:image/png"}
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB"))


def comparison(title: str, side_px: int = 32, **metrics: dict[str, float]) -> Comparison:
    rows = ("bicubic", "diffusion", "ground truth")
    pictures = {row: noise(side_px, side_px, crc32(f"{title}{row}".encode())) for row in rows}
    return Comparison(title, pictures, metrics)


def of(comparisons: dict[str, list[Comparison]]) -> Evaluation:
    return Evaluation(pd.DataFrame(), comparisons=comparisons)


def test_pictures_are_held_to_the_bit_and_once() -> None:
    embedded, pixels = EmbeddedPictures(), noise(20, 30, 0)
    first, again = (embedded.add({"a": pixels, "b": noise(20, 30, 1)}) for _ in range(2))
    assert first is not None
    assert first == again
    assert len(embedded.uris) == 2
    assert np.array_equal(decoded(embedded.uris[first["a"]]), pixels)


def test_pixels_in_another_shape_are_another_picture() -> None:
    embedded, pixels = EmbeddedPictures(), np.zeros((4, 6, 3), np.uint8)
    embedded.add({"a": pixels, "b": pixels.reshape(6, 4, 3)})
    assert len(embedded.uris) == 2


def test_pictures_too_wide_for_webp_are_png() -> None:
    embedded, pixels = EmbeddedPictures(), np.zeros((1, 16_400, 3), np.uint8)
    taken = embedded.add({"a": pixels})
    assert taken is not None
    assert decoded(embedded.uris[taken["a"]]).shape == pixels.shape


def test_what_does_not_fit_is_left_out_whole() -> None:
    embedded = EmbeddedPictures(budget_bytes=6000)  # a noisy picture of 32 px takes about 3,100
    assert embedded.add({"a": noise(32, 32, 0)}) is not None
    assert embedded.add({"b": noise(32, 32, 1), "c": noise(32, 32, 2)}) is None
    assert len(embedded.uris) == 1
    assert embedded.add({"again": noise(32, 32, 0)}) is not None, "what is there takes no room"


def test_every_group_gets_its_first_picture_before_others_get_more() -> None:
    groups = {group: [comparison(f"{group} {index}") for index in range(3)] for group in ("x2", "x4", "x8")}
    page = select_pictures(of(groups), {}, "diffusion", EmbeddedPictures(budget_bytes=30_000))
    assert [len(strips) for strips in page.sheets.values()] == [1, 1, 1]
    assert page.left_out == 6


def test_strips_compare_the_last_model_with_bicubic_at_first() -> None:
    numbers = {"psnr": 25.0, "lpips": float("nan")}
    shown = comparison("a", bicubic=numbers)
    (strip,) = select_pictures(of({"x4": [shown]}), {"a": "Zoë"}, "diffusion", EmbeddedPictures()).sheets[
        "x4"
    ]
    assert (strip.group, strip.title, strip.left, strip.right) == ("×4", "a", "bicubic", "diffusion")
    assert [tile.numbers for tile in strip.tiles] == [["PSNR 25.00 dB"], [], []]
    assert strip.credit == "Zoë"
    assert strip.detail is not None


def test_large_pictures_are_cut_to_the_same_part_which_is_said() -> None:
    shown = comparison("a", side_px=EXTREME_PX + 100)
    embedded = EmbeddedPictures()
    (strip,) = select_pictures(of({"x4": [shown]}), {}, "diffusion", embedded).sheets["x4"]
    side = f"{EXTREME_PX} × {EXTREME_PX} px"
    assert strip.note == f"{side} of {EXTREME_PX + 100} × {EXTREME_PX + 100}"
    parts = {tile.row: decoded(embedded.uris[tile.picture]) for tile in strip.tiles}
    whole = shown.pictures["bicubic"]
    rows, columns = np.nonzero((whole == parts["bicubic"][0, 0]).all(axis=-1))
    places = [
        (top, left)
        for top, left in zip(rows, columns, strict=True)
        if np.array_equal(whole[top : top + EXTREME_PX, left : left + EXTREME_PX], parts["bicubic"])
    ]
    ((top, left),) = places
    truth = shown.pictures["ground truth"][top : top + EXTREME_PX, left : left + EXTREME_PX]
    assert np.array_equal(parts["ground truth"], truth)


def test_extremes_say_what_was_gained() -> None:
    found = []
    for title, gain_db in (("b", 1.25), ("a", -0.5)):
        bicubic = {"psnr": 20.0, "lpips": 0.5}
        found.append(comparison(title, bicubic=bicubic, diffusion={"psnr": 20 + gain_db, "lpips": 0.25}))
    evaluation = of({})
    evaluation.best, evaluation.worst = {"x4": found[:1]}, {"x4": found[1:]}
    page = select_pictures(evaluation, {}, "diffusion", EmbeddedPictures())
    assert [(strip.title, strip.note) for strip in (*page.best["x4"], *page.worst["x4"])] == [
        ("b", "+1.25 dB PSNR, −0.250 LPIPS"),
        ("a", "−0.50 dB PSNR, −0.250 LPIPS"),
    ]


def test_pictures_of_several_sizes_without_truth_are_shown_whole() -> None:
    pictures = {"64x64": noise(64, 64, 0), "48x80": noise(48, 80, 1)}
    shown = Comparison("seed 0", pictures, {})
    (strip,) = select_pictures(of({"diffusion": [shown]}), {}, "align_samples", EmbeddedPictures()).sheets[
        "diffusion"
    ]
    assert strip.group == "diffusion"
    assert strip.detail is None
    assert (strip.left, strip.right) == ("64x64", "48x80")
    assert [(tile.width, tile.height) for tile in strip.tiles] == [(64, 64), (80, 48)]
