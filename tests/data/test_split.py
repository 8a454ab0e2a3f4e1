"""Which scenes are held out."""

import pytest

from arbiscale.config.data import SplitSettings
from arbiscale.data.manifest import Photograph
from arbiscale.data.split import join_scenes, scene_of, split_scenes, stand_ins
from arbiscale.errors import UserError


def settings(**changes) -> SplitSettings:
    plain = {
        "test": [],
        "validation": [],
        "test_fraction": 0.0,
        "validation_fraction": 0.0,
        "scene_pattern": "^(.*)$",
        "near_duplicate_bits": 8,
        "benchmarks": [],
    }
    return SplitSettings(**(plain | changes))


def photographs(*names: str, **known) -> list[Photograph]:
    facts = {"sha256": "", "width": 1, "height": 1, "pixels_sha256": "", "perceptual_hash": ""}
    return [Photograph(name=name, origin=name, **facts, **known) for name in names]


def test_scene_comes_from_source_else_pattern_else_stem():
    pattern = settings(scene_pattern=r"^(.*)_(?:left|right)$")
    (left, right, other) = photographs("bike_left.png", "x/bike_right.png", "deep/cat.jpg")
    assert [scene_of(each, pattern) for each in (left, right, other)] == ["bike", "bike", "cat"]
    (named,) = photographs("bike_left.png", scene="motorcycle")
    assert scene_of(named, pattern) == "motorcycle"


def test_named_scenes():
    splits = split_scenes(photographs("a.png", "b.png", "c.png"), settings(test=["b"], validation=["c"]))
    assert splits == {"a": "train", "b": "test", "c": "validation"}


def test_a_name_is_the_same_in_one_character_or_two():
    """As macOS writes é, and as a keyboard does."""
    both = photographs("caf\u00e9.png", "x/cafe\u0301.png", "b.png")
    for typed in ("caf\u00e9", "cafe\u0301"):
        assert split_scenes(both, settings(test=[typed])) == {"caf\u00e9": "test", "b": "train"}


def test_views_of_one_scene_stay_together():
    views = settings(scene_pattern=r"^(\d+)_", test_fraction=0.3, validation_fraction=0.3)
    pictures = photographs(*(f"{scene:03d}_{view}.png" for scene in range(50) for view in "abc"))
    assert set(split_scenes(pictures, views)) == {f"{scene:03d}" for scene in range(50)}


def test_fractions_are_met_and_stable():
    drawn = settings(test_fraction=0.1, validation_fraction=0.2)
    many = photographs(*(f"{number}.png" for number in range(2000)))
    splits = split_scenes(many, drawn)
    counts = [list(splits.values()).count(split) for split in ("test", "validation", "train")]
    # Binomial: three standard deviations of 2000 draws are at most 61.
    assert counts == pytest.approx([200, 400, 1400], abs=61)
    half = split_scenes(many[::2], drawn)
    assert half == {scene: splits[scene] for scene in half}


def test_of_few_scenes_those_of_the_lowest_hashes_stand_in():
    few = settings(test_fraction=0.001, validation_fraction=0.001)
    splits = split_scenes(photographs(*"abcd"), few)
    assert {*splits.values()} == {"train"}
    fit = dict.fromkeys(splits)
    assert stand_ins(splits, [], {*splits}, few, fit) == {"d": "test", "c": "validation"}
    assert stand_ins(splits, [("d", "b")], {*splits}, few, fit) == {
        "b": "test",
        "d": "test",
        "c": "validation",
    }
    never = fit | {"b": "a drawing"}
    assert stand_ins(splits, [("d", "b")], {*splits}, few, never) == {
        "c": "test",
        "b": "validation",
        "d": "validation",
    }
    assert stand_ins(splits, [], {"a"}, few, fit) == {"a": "test"}  # others are named
    assert stand_ins(splits, [], {*splits}, settings(), fit) == {}
    assert stand_ins(splits | {"c": "test"}, [], {*"abd"}, few, fit) == {"d": "validation"}


def test_unfit_scenes_are_never_tested_on():
    unfit = photographs("x.png", "y.png", unfit_for_test="a drawing")
    (fit,) = photographs("z.png")
    splits = split_scenes([*unfit, fit], settings(test_fraction=0.99))
    assert splits == {"x": "train", "y": "train", "z": "test"}
    with pytest.raises(UserError, match=r"data\.split\.test: x: is never a test scene \(a drawing\)"):
        split_scenes([*unfit, fit], settings(test=["x"]))
    assert split_scenes([*unfit, fit], settings(validation=["x"]))["x"] == "validation"


@pytest.mark.parametrize("key", ["test", "validation"])
def test_unknown_scene_is_refused_with_the_remedy(key: str):
    with pytest.raises(UserError) as caught:
        split_scenes(photographs("a.png", "b.png"), settings(**{key: ["a", "astronaut"]}))
    message = str(caught.value)
    assert message.startswith(f"data.split.{key}: astronaut: no such scene among the photographs (a, b)")
    assert f"data.split.{key}_fraction" in message


def test_scenes_that_look_alike_share_the_most_held_out_split():
    splits = {"a": "train", "b": "validation", "c": "train", "d": "test", "e": "train", "f": "train"}
    fit = dict.fromkeys(splits)
    assert join_scenes(splits, [("a", "b"), ("c", "d"), ("c", "e")], settings(), fit) == {
        "a": "validation",
        "b": "validation",
        "c": "test",
        "d": "test",
        "e": "test",
        "f": "train",
    }
    named = settings(validation=["e"])
    assert join_scenes(splits | {"e": "validation"}, [("d", "e")], named, fit)["d"] == "validation"
    never = fit | {"e": "a drawing"}
    assert join_scenes(splits, [("d", "e")], settings(), never)["d"] == "train"
    assert splits["c"] == "train"


def test_scenes_that_look_alike_and_are_named_apart_are_refused():
    splits = {"a": "test", "b": "validation", "c": "train"}
    named = settings(test=["a"], validation=["b"])
    with pytest.raises(UserError, match=r"split: a \(test\) and b \(validation\) look alike; name both"):
        join_scenes(splits, [("a", "c"), ("c", "b")], named, dict.fromkeys(splits))
    never = dict.fromkeys(splits) | {"c": "a drawing"}
    with pytest.raises(UserError, match=r"test: a: looks like c, never a test scene \(a drawing\); name"):
        join_scenes(splits, [("a", "c")], named, never)
