"""Which photographs are held out: decided by scene, so that no view of one leaks into training."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from unicodedata import normalize

from arbiscale.config.data import SplitSettings
from arbiscale.data.manifest import Photograph, Rejected, Split
from arbiscale.errors import UserError

HELD_OUT_FIRST: tuple[Split, ...] = ("test", "validation", "train")


def scene_of(photograph: Photograph, settings: SplitSettings) -> str:
    """The scene its source names, else the first group of `scene_pattern` in the stem, else the stem."""
    return photograph.scene if photograph.scene is not None else _by_pattern(photograph.name, settings)


def _by_pattern(name: str, settings: SplitSettings) -> str:
    stem = normalize("NFC", PurePosixPath(name).stem)  # macOS writes é as two characters
    match = re.search(settings.scene_pattern, stem)
    return (match and match.group(1)) or stem


def split_scenes(
    photographs: Sequence[Photograph], settings: SplitSettings, rejected: Sequence[Rejected] = ()
) -> dict[str, Split]:
    """The split of every scene by itself.

    Scenes that are published as held out are, unless they are named otherwise. The others go by a hash of
    their name alone, whatever else there is: adding photographs moves none. What is rejected is named where a
    scene is missed.

    Raises:
        UserError: a named scene does not exist, or must not be tested on.
    """
    unfit: dict[str, str | None] = {}
    published: dict[str, Split] = {}
    for each in photographs:
        scene = scene_of(each, settings)
        unfit[scene] = each.unfit_for_test
        if each.split:
            published[scene] = each.split
    reasons = {_by_pattern(each.source, settings): f"{each.source} {each.reason}" for each in rejected}
    _check_named("test", settings.test, unfit, reasons)
    _check_named("validation", settings.validation, unfit, reasons)
    for scene in settings.test:
        if reason := unfit[scene]:
            raise UserError(f"data.split.test: {scene}: is never a test scene ({reason}); name another")
    splits = {scene: drawn_split(scene, settings, unfit_for_test=bool(unfit[scene])) for scene in unfit}
    splits |= published
    splits |= dict.fromkeys(settings.test, "test")
    splits |= dict.fromkeys(settings.validation, "validation")
    return splits


def drawn_split(scene: str, settings: SplitSettings, *, unfit_for_test: bool = False) -> Split:
    """The split that the hash of a scene's name gives it."""
    drawn = _draw(scene)
    if drawn < settings.test_fraction:
        return "train" if unfit_for_test else "test"
    return "validation" if drawn < settings.test_fraction + settings.validation_fraction else "train"


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


def stand_ins(
    splits: Mapping[str, Split],
    pairs: Iterable[tuple[str, str]],
    free: Collection[str],
    settings: SplitSettings,
    unfit: Mapping[str, str | None],
) -> dict[str, Split]:
    """Scenes that take the place of those that a fraction above zero asks for, where no hash gives any.

    Of few scenes that happens often. Those of the lowest hash are taken, with what looks like them; they
    leave again when photographs are added whose hash is lower.

    Args:
        splits: of each scene, those that look alike together.
        pairs: of scenes that look alike.
        free: scenes that are neither named nor published as of a split.
        settings: which splits are asked for.
        unfit: why a scene must never be tested on.
    """
    groups = {scene: group for group in _groups(pairs) for scene in group}
    free = {scene for scene in free if splits[scene] != "test"}
    chosen: dict[str, Split] = {}
    fractions: dict[Split, float] = {
        "test": settings.test_fraction,
        "validation": settings.validation_fraction,
    }
    for split, fraction in fractions.items():
        if not fraction or split in {**splits, **chosen}.values():
            continue
        for scene in sorted(free, key=_draw):
            group = groups.get(scene, [scene])
            fit = split != "test" or not any(unfit[each] for each in group)
            if fit and chosen.keys().isdisjoint(group) and all(each in free for each in group):
                chosen |= dict.fromkeys(group, split)
                break
    return chosen


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
