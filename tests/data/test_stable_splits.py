"""What becomes of photographs' splits when others are added."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from arbiscale.config.data import CropSettings, SplitSettings
from arbiscale.data.manifest import Manifest, Photograph, Record
from arbiscale.data.selection import Selection, select
from arbiscale.data.split import HELD_OUT_FIRST, drawn_split, scene_of
from tests.data.test_split import settings

ONE_CROP = CropSettings(mode="centre", size_px=64, per_photograph=1)
VIEWS = settings(test_fraction=0.15, validation_fraction=0.1, scene_pattern=r"^(\d+)_")


def collection(seed: int, count: int) -> list[Photograph]:
    """Some are views of one scene, some look alike, some have the same pixels."""
    draw = np.random.default_rng(seed)
    motives = draw.integers(0, 2**62, 6 * count)
    photographs = []
    for number in range(count):
        pixels = draw.integers(8 * count)
        photographs.append(
            Photograph(
                name=f"{draw.integers(count)}_{number}.jpg",
                sha256=str(number),
                width=64,
                height=64,
                pixels_sha256=f"{pixels:064x}",
                perceptual_hash=f"{motives[pixels % len(motives)]:016x}",
                origin="",
            )
        )
    return photographs


def selected(photographs: list[Photograph], split: SplitSettings = VIEWS) -> Selection:
    return select(Record(sorted(photographs, key=lambda each: each.name), []), ONE_CROP, split)


@pytest.mark.parametrize("seed", range(40))
def test_added_photographs_move_none_but_what_looks_like_them(seed: int):
    everything = collection(seed, 120)
    order = np.random.default_rng(seed).permutation(len(everything))
    before = selected([everything[place] for place in order[:70]])
    after = selected(everything)
    added = {scene_of(everything[place], VIEWS) for place in order[70:]}
    joined = {name for pair in after.near_duplicates for name in (pair.first, pair.second)}
    touched = {scene_of(each, VIEWS) for each in everything if each.name in joined}
    assert not before.stand_ins
    assert not after.stand_ins
    assert touched
    for scene, split in before.splits.items():
        now = after.splits[scene]
        assert HELD_OUT_FIRST.index(now) <= HELD_OUT_FIRST.index(split)  # nothing held out trains, ever
        if scene not in touched:
            assert now == split
    assert added - before.splits.keys()
    pixels = {each.pixels_sha256: before.splits[scene_of(each, VIEWS)] for each in before.photographs}
    for each in after.photographs:  # whichever of several files stands for them
        if pixels.get(each.pixels_sha256) == "test":
            assert after.splits[scene_of(each, VIEWS)] == "test"


def test_of_few_photographs_some_stand_in_and_only_they_move(
    cut: Callable[..., Manifest], own: Path, split_settings: SplitSettings, capsys: pytest.CaptureFixture[str]
):
    by_share = {"test": [], "validation": [], "test_fraction": 0.01, "validation_fraction": 0.01}
    small = split_settings.model_copy(update=by_share)
    manifest = cut(split=small)
    held = {each.split: each.scene for each in (*manifest.crops, *manifest.photographs)}
    warning = next(line for line in capsys.readouterr().out.splitlines() if "WARNING" in line)
    assert f"{held['test']} for test" in warning
    assert f"{held['validation']} for validation" in warning
    assert "name them in data.split to keep them there" in warning

    low = next(f"low{number}" for number in range(10**4) if drawn_split(f"low{number}", small) == "test")
    (own / "e.png").rename(own / f"{low}.png")
    assert [each.scene for each in cut(split=small).photographs] == [low]
    warning = next(line for line in capsys.readouterr().out.splitlines() if "WARNING" in line)
    assert "for test" not in warning
    named = small.model_copy(update={key: [held[key]] for key in ("test", "validation")})
    assert {each.scene for each in cut(split=named).photographs} == {held["test"], low}
    assert "WARNING" not in capsys.readouterr().out
