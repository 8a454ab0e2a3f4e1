"""Crops of several shapes, from the photographs to the batches."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from arbiscale.config.data import AugmentationSettings, CropSettings, SplitSettings
from arbiscale.data import dataset
from arbiscale.data.boxes import count_boxes, crop_boxes, crop_size, cut
from arbiscale.data.dataset import CropDataset, training_batches, training_streams
from arbiscale.data.former_crops import FormerCrops
from arbiscale.data.manifest import Manifest, Photograph
from arbiscale.data.sources.folder import Folder
from arbiscale.data.stores import PIXELS
from tests.conftest import photograph
from tests.data.test_crops import digests

AUGMENTATION = AugmentationSettings(
    crop_px=16, zoom_out=2.0, horizontal_flip=0.5, vertical_flip=0.5, transpose=0.0
)


def settings(mode: str = "random", per_photograph: int = 6) -> CropSettings:
    return CropSettings.model_validate(
        {
            "mode": mode,
            "size_px": 32,
            "shapes": ["32x32", "24x40", "40x24"],
            "per_photograph": per_photograph,
        }
    )


@pytest.fixture
def mixed(own: Path) -> Path:
    """The user's five photographs, about square, two wide ones and two high ones."""
    for seed, (height, width) in enumerate([(60, 100), (50, 90), (100, 60), (90, 50)], 10):
        Image.fromarray(photograph(height, width, seed)).save(own / f"f{seed}.png")
    return own


def test_the_nearest_shape_that_fits() -> None:
    assert crop_size(100, 60, settings()) == (24, 40)
    assert crop_size(60, 100, settings()) == (40, 24)
    assert crop_size(70, 64, settings()) == (32, 32)
    assert crop_size(39, 25, settings()) is None  # wide, and too small
    assert crop_size(38, 34, settings()) == (32, 32)
    assert crop_size(39, 33, settings()) == (32, 32)


@pytest.mark.parametrize("mode", ["random", "grid"])
def test_boxes_are_of_the_shape_and_inside(mode: str) -> None:
    found = crop_boxes(100, 60, settings(mode, 100), seed=0, name="a")
    assert len(set(found)) == len(found) > 3
    for left, top, right, bottom in found:
        assert (bottom - top, right - left) == (24, 40)
        assert 0 <= left < right <= 100
        assert 0 <= top < bottom <= 60
    wide = Photograph("a", "", 100, 60, "", "", "")
    assert count_boxes(wide, settings(mode, 100)) == len(found)


def test_the_middle_box_is_the_largest_of_the_proportions() -> None:
    assert crop_boxes(100, 50, settings("centre"), seed=0, name="a") == [(8, 0, 91, 50)]  # 83 : 50 = 40 : 24
    assert crop_boxes(60, 110, settings("centre"), seed=0, name="a") == [(0, 5, 60, 105)]
    pixels = photograph(50, 100, 0)
    assert cut(pixels, (8, 0, 91, 50), (24, 40)).shape == (24, 40, 3)


@pytest.mark.parametrize("mode", ["random", "grid", "centre"])
def test_shards_hold_one_shape_each_in_either_store(
    cut: Callable[..., Manifest], mixed: Path, tmp_path: Path, mode: str
) -> None:
    made = {name: cut(name, crop=settings(mode), store=name) for name in ("pixels", "photographs")}
    sizes = made["pixels"].sizes("train")
    assert [*sizes] == [(24, 40), (32, 32), (40, 24)]
    assert made["photographs"].sizes("train") == sizes
    assert {shard.file for shard in made["pixels"].shards if shard.split == "train"} == {
        "train/24x40/00000.npy",
        "train/00000.npy",
        "train/40x24/00000.npy",
    }
    for size in sizes:
        one, other = (CropDataset(tmp_path / name, "train", AUGMENTATION, seed=5, size=size) for name in made)
        assert len(one) == sizes[size] == len(other)
        assert all(torch.equal(one[index], other[index]) for index in range(2 * len(one)))
    card = json.loads((tmp_path / "pixels/card.json").read_text())
    assert card["splits"]["train"]["crops"] == {
        f"{height}x{width}": count for (height, width), count in sizes.items()
    }
    assert "of 24x40" in (tmp_path / "pixels/card.html").read_text()


def test_test_photographs_in_mode_centre_have_their_shape(
    cut: Callable[..., Manifest], mixed: Path, tmp_path: Path
) -> None:
    (mixed / "a.png").unlink()
    Image.fromarray(photograph(60, 100, 50)).save(mixed / "a.png")  # held out
    (held,) = cut(crop=settings("centre")).photographs
    assert (held.height, held.width) == (24, 40)
    assert np.asarray(Image.open(tmp_path / "crops" / held.file)).shape == (24, 40, 3)


def test_what_did_not_change_is_not_cut_again(
    cut: Callable[..., Manifest], mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut(crop=settings())
    read = []
    original = Folder.read
    monkeypatch.setattr(Folder, "read", lambda self, name: read.append(name) or original(self, name))
    cut(crop=settings(), reuse=True)
    assert read == []
    other = settings().model_copy(update={"shapes": ["32x32", "20x40", "40x24"]})
    cut(crop=other, reuse=True)
    assert sorted(read) == ["d.png", "e.png", "f10.png", "f11.png"]  # the wide ones alone
    cut("anew", crop=other)
    assert digests(tmp_path / "crops") == digests(tmp_path / "anew")


def test_a_crop_of_another_size_is_not_taken_for_one(
    cut: Callable[..., Manifest], mixed: Path, tmp_path: Path
) -> None:
    manifest = cut(crop=settings("centre"))
    crop = next(each for each in manifest.crops if each.shard.startswith("train/24x40"))
    former = FormerCrops(tmp_path / "crops", PIXELS)
    there = Photograph(crop.source, crop.source_sha256, 100, 60, "", "", "")
    assert former.crops(there, [crop.box], (24, 40))[0].shape == (24, 40, 3)
    assert former.crops(there, [crop.box], (48, 80)) is None


def test_too_small_a_photograph_is_rejected_with_the_shapes(
    cut: Callable[..., Manifest], mixed: Path
) -> None:
    Image.fromarray(photograph(23, 60, 77)).save(mixed / "small.png")
    (rejected,) = cut(crop=settings()).rejected
    assert rejected.source == "small.png"
    assert rejected.reason == (
        "is 60 x 23 px, smaller than a crop (data.crop.shapes, height x width: 32x32, 24x40, 40x24)"
    )


def test_the_manifest_is_read_once(
    cut: Callable[..., Manifest], mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut(crop=settings())
    read = []
    original = dataset.read_manifest
    monkeypatch.setattr(dataset, "read_manifest", lambda folder: read.append(folder) or original(folder))
    training_streams(tmp_path / "crops", AUGMENTATION, 0, batch_size=4)
    assert len(read) == 1


def test_every_batch_is_of_one_shape(cut: Callable[..., Manifest], mixed: Path, tmp_path: Path) -> None:
    made = cut(crop=settings())
    train, validation = training_streams(tmp_path / "crops", AUGMENTATION, 0, batch_size=4)
    assert len(train) == len([each for each in made.crops if each.split == "train"])
    alone, beside = ([*training_batches(train, 4, range(40), workers)] for workers in (0, 2))
    assert all(torch.equal(one, other) for one, other in zip(alone, beside, strict=True))
    assert {tuple(batch.shape) for batch in alone} == {(4, 3, 16, 16), (4, 3, 12, 20), (4, 3, 20, 12)}
    assert [tuple(batch.shape) for batch in validation] == [(6, 3, 16, 16)]


def test_validation_batches_do_not_mix_shapes_either(
    cut: Callable[..., Manifest], mixed: Path, tmp_path: Path, split_settings: SplitSettings
) -> None:
    Image.fromarray(photograph(60, 100, 60)).save(mixed / "b.png")  # validates, and is wide
    split = split_settings.model_copy(update={"validation": ["b", "c"]})
    cut(crop=settings(per_photograph=13), split=split)
    _, validation = training_streams(tmp_path / "crops", AUGMENTATION, 0, batch_size=4)
    batches = [*validation]
    assert [tuple(batch.shape) for batch in batches] == [
        (12, 3, 12, 20),
        (1, 3, 12, 20),
        (12, 3, 16, 16),
        (1, 3, 16, 16),
    ]
    assert len({each.numpy().tobytes() for batch in batches for each in batch}) == 26


def test_zooming_out_keeps_the_proportions(cut: Callable[..., Manifest], mixed: Path, tmp_path: Path) -> None:
    """The whole crop shrunk by two is among what is drawn, and is what averaging gives."""
    cut(crop=settings("centre"))
    still = AUGMENTATION.model_copy(update={"horizontal_flip": 0.0, "vertical_flip": 0.0})
    plain = CropDataset(tmp_path / "crops", "train", None, seed=0, size=(24, 40))
    zoomed = CropDataset(tmp_path / "crops", "train", still, seed=0, size=(24, 40))
    for index in range(40):
        fine = plain[index]
        halved = fine.unflatten(1, (12, 2)).unflatten(3, (20, 2)).mean(dim=(2, 4))
        if (zoomed[index] - halved).abs().max() < 0.05:
            return
    pytest.fail("no sample shows the whole")
