"""Which photographs are held out: decided by scene, so that no view of one leaks into training."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from arbiscale.config.data import SplitSettings
from arbiscale.data.manifest import Photograph, Rejected, Split
from arbiscale.errors import UserError

HELD_OUT_FIRST: tuple[Split, ...] = ("test", "validation", "train")


def scene_of(photograph: Photograph, settings: SplitSettings) -> str:
    """The scene its source names, else the first group of `scene_pattern` in the stem, else the stem."""
    return photograph.scene if photograph.scene is not None else _by_pattern(photograph.name, settings)


def _by_pattern(name: str, settings: SplitSettings) -> str:
    stem = PurePosixPath(name).stem
    match = re.search(settings.scene_pattern, stem)
    return (match and match.group(1)) or stem


def split_scenes(
    photographs: Sequence[Photograph], settings: SplitSettings, rejected: Sequence[Rejected] = ()
) -> dict[str, Split]:
    """The split of every scene.

    Scenes that are published as held out are, unless they are named otherwise. The others are drawn by a hash
    of their name alone, so that adding photographs moves none to another split; a fraction above zero holds
    out one scene at least. What is rejected is named where a scene is missed.

    Raises:
        UserError: a named scene does not exist, or must not be tested on.
    """
    unfit = {scene_of(each, settings): each.unfit_for_test for each in photographs}
    reasons = {_by_pattern(each.source, settings): f"{each.source} {each.reason}" for each in rejected}
    _check_named("test", settings.test, unfit, reasons)
    _check_named("validation", settings.validation, unfit, reasons)
    for scene in settings.test:
        if reason := unfit[scene]:
            raise UserError(f"data.split.test: {scene}: is never a test scene ({reason}); name another")

    splits: dict[str, Split] = {scene_of(each, settings): each.split for each in photographs if each.split}
    splits |= dict.fromkeys(settings.test, "test")
    splits |= dict.fromkeys(settings.validation, "validation")
    unnamed = sorted((scene for scene in unfit if scene not in splits), key=_draw)
    test = [scene for scene in unnamed if not unfit[scene] and _draw(scene) < settings.test_fraction]
    if settings.test_fraction and not test and not settings.test:
        test = [scene for scene in unnamed if not unfit[scene]][:1]
    tested = set(test)
    rest = [scene for scene in unnamed if scene not in tested]
    held_out = settings.test_fraction + settings.validation_fraction
    validation = [scene for scene in rest if settings.test_fraction <= _draw(scene) < held_out]
    if settings.validation_fraction and not validation and not settings.validation:
        validation = rest[:1]
    splits |= dict.fromkeys(rest, "train")
    splits |= dict.fromkeys(validation, "validation")
    splits |= dict.fromkeys(test, "test")
    return splits


def join_scenes(
    splits: Mapping[str, Split],
    pairs: Iterable[tuple[str, str]],
    settings: SplitSettings,
    unfit: Mapping[str, str | None],
) -> dict[str, Split]:
    """The splits of scenes after those that look alike are brought together.

    They go where one of them is named, else where one of them is held out, for testing before validation.

    Args:
        splits: of each scene by itself.
        pairs: of scenes that look alike.
        settings: which scenes are named.
        unfit: why a scene must never be tested on.

    Raises:
        UserError: they are named for two splits, or for testing beside one that must not be tested on.
    """
    joined = dict(splits)
    for group in _groups(pairs):
        named = [each for each in group if each in settings.test or each in settings.validation]
        first = named[0] if named else ""
        for other in named:
            if splits[other] != splits[first]:
                raise UserError(
                    f"data.split: {first} ({splits[first]}) and {other} ({splits[other]}) look alike; "
                    "name both for one split, or lower data.split.near_duplicate_bits"
                )
        never = next((each for each in group if unfit[each]), "")
        if named and never and splits[first] == "test":
            raise UserError(
                f"data.split.test: {first}: looks like {never}, never a test scene ({unfit[never]}); "
                "name another, or lower data.split.near_duplicate_bits"
            )
        own = {splits[each] for each in named or group} - ({"test"} if never else set())
        split = next(each for each in HELD_OUT_FIRST if each in own)
        joined |= dict.fromkeys(group, split)
    return joined


def _groups(pairs: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Scenes that are joined, directly or through others, in the order of their names."""
    groups: dict[str, set[str]] = {}
    for one, other in pairs:
        small, large = sorted((groups.get(each, {each}) for each in (one, other)), key=len)
        large |= small
        groups |= dict.fromkeys(small, large) | {one: large, other: large}
    return sorted(sorted(group) for group in {id(each): each for each in groups.values()}.values())


def _check_named(
    key: str, named: Sequence[str], scenes: Mapping[str, object], rejected: Mapping[str, str]
) -> None:
    missing = [scene for scene in named if scene not in scenes]
    for scene in missing:
        if scene in rejected:
            raise UserError(f"data.split.{key}: {scene}: is rejected ({rejected[scene]}); name another")
    if missing:
        some = ", ".join(sorted(scenes)[:5]) + (", ..." if len(scenes) > 5 else "")
        raise UserError(
            f"data.split.{key}: {', '.join(missing)}: no such scene among the photographs ({some}); "
            f"name some of these, or set it to [] and data.split.{key}_fraction to e.g. 0.1"
        )


def _draw(scene: str) -> float:
    """A number in [0, 1) that depends on the scene's name only."""
    return int.from_bytes(hashlib.sha256(scene.encode()).digest()[:6]) / 2**48
