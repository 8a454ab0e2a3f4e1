"""Two ways to keep crops, and one set of crops."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from arbiscale.config.data import AugmentationSettings, CropSettings
from arbiscale.data.dataset import CropDataset, training_batches
from arbiscale.data.manifest import Manifest, Photograph
from arbiscale.data.shards import read_crop
from arbiscale.data.sources.folder import Folder
from arbiscale.data.stores import PHOTOGRAPHS, PIXELS, PhotographStore, choose_store
from arbiscale.errors import UserError
from tests.conftest import photograph
from tests.data.test_crops import digests

AUGMENTATION = AugmentationSettings(
    crop_px=16, zoom_out=2.0, horizontal_flip=0.5, vertical_flip=0.5, transpose=0.5
)


@pytest.mark.parametrize("mode", ["random", "grid", "centre"])
def test_both_give_the_same_samples(
    cut: Callable[..., Manifest], own: Path, tmp_path: Path, crop_settings: CropSettings, mode: str
):
    for number, suffix in enumerate((".tif", ".jpg", ".webp", ".bmp", ".avif")):
        Image.fromarray(photograph(70, 90, 20 + number)).save(own / f"f{number}{suffix}")
    Image.fromarray(photograph(32, 50, 30)).save(own / "g.png")  # in mode centre nothing is shrunk
    crop = crop_settings.model_copy(update={"mode": mode})
    made = {name: cut(name, crop=crop, store=name) for name in ("pixels", "photographs")}
    assert {shard.file[-4:] for shard in made["photographs"].shards} == {".tar"}
    for one, other in zip(made["pixels"].crops, made["photographs"].crops, strict=True):
        assert (one.source, one.scene, one.box, one.split) == (
            other.source,
            other.scene,
            other.box,
            other.split,
        )
        pixels, cut_now = (
            read_crop(tmp_path / name / each.shard, each.index)
            for name, each in (("pixels", one), ("photographs", other))
        )
        assert np.array_equal(pixels, cut_now)
    first, second = (
        CropDataset(tmp_path / name, "train", AUGMENTATION, seed=5) for name in ("pixels", "photographs")
    )
    assert len(first) == len(second)
    assert all(torch.equal(first[index], second[index]) for index in range(2 * len(first)))
    for name in ("preview.png", "card.json", "test/a.png"):
        assert (tmp_path / "pixels" / name).read_bytes() == (tmp_path / "photographs" / name).read_bytes()


def test_loader_processes_change_nothing(cut: Callable[..., Manifest], tmp_path: Path):
    cut(store="photographs")
    dataset = CropDataset(tmp_path / "crops", "train", AUGMENTATION, seed=3)
    dataset[0]  # opens a shard, which must not travel
    alone, beside = ([*training_batches(dataset, 4, range(6), workers)] for workers in (0, 2))
    assert all(torch.equal(one, other) for one, other in zip(alone, beside, strict=True))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_shard_is_one_line_whoever_reads_it(
    cut: Callable[..., Manifest], tmp_path: Path, workers: int
):
    cut()
    dataset = CropDataset(tmp_path / "crops", "train", AUGMENTATION, seed=3)
    path = tmp_path / "crops/train/00000.npy"
    path.write_bytes(b"")
    with pytest.raises(UserError) as caught:
        next(iter(training_batches(dataset, 4, range(6), workers)))
    assert str(caught.value) == f"{path}: cannot be read (No data left in file); run `dvc repro -f -s crop`"


def test_photographs_that_did_not_change_are_not_read_again(
    cut: Callable[..., Manifest], own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    cut(store="photographs")
    read = []
    original = Folder.read
    monkeypatch.setattr(Folder, "read", lambda self, name: read.append(name) or original(self, name))
    Image.fromarray(photograph(64, 80, 7)).save(own / "f.png")
    cut(store="photographs", reuse=True)
    assert read == ["f.png", "f.png"]  # to check and to cut
    cut("anew", store="photographs")
    assert digests(tmp_path / "crops") == digests(tmp_path / "anew")
    read.clear()
    cut(store="pixels", reuse=True)
    cut("pixels", store="pixels")
    assert digests(tmp_path / "crops") == digests(tmp_path / "pixels")
    assert sorted({*read}) == ["a.png", "b.png", "c.png", "d.png", "e.png", "f.png"]


@pytest.mark.parametrize(
    ("store", "file"),
    [("pixels", "00000.npy"), ("photographs", "00000.tar"), ("photographs", "00000.npy")],
)
def test_damage_is_not_taken_over(cut: Callable[..., Manifest], tmp_path: Path, store: str, file: str):
    cut(store=store)
    path = tmp_path / "crops/train" / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    cut(store=store, reuse=True)
    cut("anew", store=store)
    assert digests(tmp_path / "crops") == digests(tmp_path / "anew")


def test_a_file_that_is_kept_as_it_is_is_not_decoded(
    cut: Callable[..., Manifest], own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    Image.fromarray(photograph(64, 80, 9)).save(own / "f.bmp")
    decoded = []
    original = PhotographStore.make
    monkeypatch.setattr(
        PhotographStore, "make", lambda self, data, *rest: decoded.append(data) or original(self, data, *rest)
    )
    cut(store="photographs")
    assert decoded == [(own / "f.bmp").read_bytes()]


def listed(size: int, side_px: int = 100, count: int = 10) -> list[Photograph]:
    return [Photograph(str(number), "", side_px, side_px, "", "", "", size=size) for number in range(count)]


@pytest.mark.parametrize(
    ("wanted", "size", "crops", "chosen"),
    [
        ("auto", 2000, 4, PIXELS),  # small
        ("auto", 2000, 400, PHOTOGRAPHS),
        ("auto", 200_000, 20, PIXELS),  # photographs would take more
        ("pixels", 2000, 400, PIXELS),
        ("photographs", 2000, 1, PHOTOGRAPHS),
    ],
)
def test_auto_takes_pixels_for_small_sets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: str, size: int, crops: int, chosen: object
):
    monkeypatch.setattr("arbiscale.data.stores.PIXELS_UP_TO_BYTES", 200_000)
    settings = CropSettings(mode="random", size_px=32, per_photograph=crops)
    assert choose_store(wanted, listed(size), settings, tmp_path / "crops") is chosen


def test_a_full_disk_is_refused_with_the_store_that_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    settings = CropSettings(mode="random", size_px=32, per_photograph=400)
    whole = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: whole._replace(free=20_000))
    with pytest.raises(UserError, match=r"free some, set data\.store: photographs, or lower"):
        choose_store("pixels", listed(2000), settings, tmp_path / "crops")
    choose_store("photographs", listed(2000), settings, tmp_path / "crops")
    assert "kept as photographs, take " in capsys.readouterr().out
    with pytest.raises(UserError, match=r"free some, or lower"):
        choose_store("photographs", listed(2001), settings, tmp_path / "crops")


def test_a_shrunk_crop_takes_no_more_than_its_pixels():
    centre = CropSettings(mode="centre", size_px=32, per_photograph=1)
    (large,) = listed(10**6, count=1)
    (fitting,) = listed(500, side_px=32, count=1)
    assert PHOTOGRAPHS.bytes_of(large, centre) == 3 * 32**2
    assert PHOTOGRAPHS.bytes_of(fitting, centre) == 500
