"""Held-out pictures: where crops lie, and what the stage `crop` left."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from arbiscale.data.manifest import Crop, HeldOut, Manifest, Shard
from arbiscale.errors import UserError
from arbiscale.evaluation.held_out import (
    HeldOutPhotograph,
    cut_held_out_crops,
    pictures_below,
    read_held_out_data,
)
from arbiscale.imaging.writing import write_image
from tests.stand_ins import texture


def photograph(height: int, width: int, name: str = "p") -> HeldOutPhotograph:
    return HeldOutPhotograph(name, Path(), name, (height, width))


def corners(photograph: HeldOutPhotograph, crop_px: int, count: int) -> list[tuple[int, ...]]:
    crops = cut_held_out_crops([photograph], crop_px, count)
    assert {crop.region[2:] for crop in crops if crop.region} == {(crop_px, crop_px)}
    return [crop.region[:2] for crop in crops if crop.region]


def test_crops_lie_in_the_middles_of_equal_cells() -> None:
    assert corners(photograph(100, 200), 40, 1) == [(30, 80)]
    assert corners(photograph(100, 200), 40, 2) == [(30, 30), (30, 130)]
    assert corners(photograph(200, 100), 40, 2) == [(30, 30), (130, 30)]
    assert corners(photograph(200, 200), 40, 4) == [(30, 30), (30, 130), (130, 30), (130, 130)]


def test_crops_larger_than_their_cell_stay_inside_the_photograph() -> None:
    assert corners(photograph(64, 100), 64, 2) == [(0, 0), (0, 36)]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 7, 12])
def test_every_photograph_gives_as_many_different_crops_as_asked(count: int) -> None:
    assert len(set(corners(photograph(150, 220), 32, count))) == count


def test_a_photograph_of_exactly_the_crops_size_is_used_and_smaller_ones_are_left_out() -> None:
    crops = cut_held_out_crops([photograph(64, 31, "small"), photograph(32, 32, "exact")], 32, 1)
    assert [(crop.photograph, crop.region) for crop in crops] == [("exact", (0, 0, 32, 32))]


def test_every_photograph_comes_before_any_comes_again() -> None:
    crops = cut_held_out_crops([photograph(64, 64, name) for name in "ab"], 32, 2)
    assert [crop.name for crop in crops] == ["a-0", "b-0", "a-1", "b-1"]


def test_no_photograph_large_enough_is_an_error_naming_the_key() -> None:
    with pytest.raises(UserError, match=r"evaluate\.crop_px: none of 1 held-out photographs has 65 px"):
        cut_held_out_crops([photograph(64, 100)], 65, 2)


def test_the_stage_crops_folder_gives_photographs_with_whom_to_credit(tmp_path: Path) -> None:
    pixels = {name: texture(24, seed) for seed, name in enumerate("pq")}
    kept = [HeldOut(f"test/{name}.png", "", f"{name}.jpg", "", "s", "test", 24, 24) for name in pixels]
    for name, picture in pixels.items():
        write_image(tmp_path / f"test/{name}.png", picture)
    Manifest(24, [], [], kept, [], {"p.jpg": "Zoë"}).write(tmp_path)
    data = read_held_out_data(tmp_path)
    assert [(each.name, each.scene, each.size) for each in data.photographs] == [
        ("p", "s", (24, 24)),
        ("q", "s", (24, 24)),
    ]
    crop = cut_held_out_crops(data.photographs, 16, 1)[1]
    assert np.array_equal(crop.read(), pixels["q"][4:20, 4:20])
    assert data.credits == {"p": "Zoë"}
    assert len(data.training_crops) == 0


def test_the_splits_say_what_is_chosen_on_what_and_what_is_reported(tmp_path: Path) -> None:
    """A20: parameters were chosen on the test photographs, without a word."""
    write_image(tmp_path / "test/p.png", texture(24, 0))
    kept = [HeldOut("test/p.png", "", "p.jpg", "", "s", "test", 24, 24)]
    shards = [Shard("train/0.npy", "train", 1, ""), Shard("validation/0.npy", "validation", 7, "")]
    crops = [Crop("train/0.npy", 0, "t.jpg", "", "t", (0, 0, 24, 24), "train")]
    crops += [
        Crop("validation/0.npy", number, f"{number}.jpg", "", f"v{number % 6}", (0, 0, 24, 24), "validation")
        for number in range(7)
    ]
    Manifest(24, shards, crops, kept, [], {}).write(tmp_path)
    assert read_held_out_data(tmp_path).splits == {
        "chosen_on": "validation scenes, 6: v0, v1, v2, v3, v4, ...",
        "reported_on": "test scenes, 1: s",
    }
    Manifest(24, [], [], kept, [], {}).write(tmp_path)
    alone = read_held_out_data(tmp_path).splits["chosen_on"]
    assert alone == "no validation scenes: what these figures decide is decided on the test scenes"


def test_validation_photographs_are_measured_in_their_stored_crops(tmp_path: Path) -> None:
    pixels = [texture(24, seed) for seed in range(6)]
    (tmp_path / "validation").mkdir()
    np.save(tmp_path / "validation/0.npy", np.stack(pixels[:4]))
    np.save(tmp_path / "validation/1.npy", np.stack(pixels[4:]))
    shards = [Shard("validation/0.npy", "validation", 4, ""), Shard("validation/1.npy", "validation", 2, "")]
    places = [("validation/0.npy", number) for number in range(4)]
    places += [("validation/1.npy", number) for number in range(2)]
    crops = [
        Crop(*place, f"below/{name}.jpg", "", "v", (0, 0, 24, 24), "validation")
        for place, name in zip(places, "pppppq", strict=True)
    ]
    Manifest(24, shards, crops, [], [], {"below/q.jpg": "Zoë"}).write(tmp_path)
    data = read_held_out_data(tmp_path, "validation")
    assert [(each.name, each.size) for each in data.photographs] == [
        ("below/p", (24, 24)),
        ("below/q", (24, 24)),
    ]
    assert data.credits == {"below/q": "Zoë"}
    found = cut_held_out_crops(data.photographs, 24, 3)
    assert [each.name for each in found] == ["below/p-0", "below/q-0", "below/p-1", "below/p-2"]
    for each, number in zip(found, (0, 5, 2, 4), strict=True):
        assert np.array_equal(each.read(), pixels[number])
    assert np.array_equal(cut_held_out_crops(data.photographs, 16, 1)[0].read(), pixels[0][4:20, 4:20])
    assert data.splits["reported_on"].startswith("nothing: these figures, of the validation scenes, are to")
    (tmp_path / "validation/1.npy").unlink()
    with pytest.raises(UserError, match=r"validation/1\.npy: cannot be read"):
        found[-1].read()


def test_crops_of_several_sizes(tmp_path: Path) -> None:
    shards = [
        Shard("validation/0.npy", "validation", 1, ""),
        Shard("validation/1.npy", "validation", 1, "", size=(20, 30)),
        Shard("train/0.npy", "train", 1, "", size=(20, 30)),
        Shard("train/1.npy", "train", 1, ""),
    ]
    for each in shards:
        (tmp_path / each.file).parent.mkdir(exist_ok=True)
        np.save(tmp_path / each.file, np.zeros((1, *(each.size or (24, 24)), 3), np.uint8))
    crops = [
        Crop(each.file, 0, f"{number}.jpg", "", f"s{number}", (0, 0, 9, 9), each.split)
        for number, each in enumerate(shards)
    ]
    Manifest(24, shards, crops, [], [], {}).write(tmp_path)
    data = read_held_out_data(tmp_path, "validation")
    assert [each.size for each in data.photographs] == [(24, 24), (20, 30)]
    assert {size: each[0].shape for size, each in data.training_crops.items()} == {
        (20, 30): (20, 30, 3),
        (24, 24): (24, 24, 3),
    }


def test_files_that_differ_in_their_suffix_alone_are_told_apart(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg", "below/a.png", "b.png"):
        write_image(tmp_path / "given" / name, texture(24, 0))
    names = ["a.jpg", "a.png", "b", "below/a"]
    assert [picture.name for picture in pictures_below(str(tmp_path / "given"), "key")] == names
    (tmp_path / "validation").mkdir()
    np.save(tmp_path / "validation/0.npy", np.stack([texture(24, number) for number in range(3)]))
    crops = [
        Crop("validation/0.npy", number, source, "", "v", (0, 0, 24, 24), "validation")
        for number, source in enumerate(("a.png", "a.jpg", "b.jpg"))
    ]
    shards = [Shard("validation/0.npy", "validation", 3, "")]
    Manifest(24, shards, crops, [], [], {}).write(tmp_path)
    found = read_held_out_data(tmp_path, "validation").photographs
    assert [each.name for each in found] == ["a.png", "a.jpg", "b"]
