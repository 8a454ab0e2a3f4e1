"""Which photographs are held out: decided by scene, so that no view of one leaks into training."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from arbiscale.config.data import SplitSettings
from arbiscale.data.manifest import Photograph, Rejected, Split
from arbiscale.errors import UserError


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

    Scenes not named are drawn by a hash of their name alone, so that adding photographs moves none to
    another split; a fraction above zero holds out one scene at least. What is rejected is named where a scene
    is missed.

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

    splits: dict[str, Split] = dict.fromkeys(settings.test, "test")
    splits |= dict.fromkeys(settings.validation, "validation")
    unnamed = sorted((scene for scene in unfit if scene not in splits), key=_draw)
    test = [scene for scene in unnamed if not unfit[scene] and _draw(scene) < settings.test_fraction]
    if settings.test_fraction and not test and not settings.test:
        test = [scene for scene in unnamed if not unfit[scene]][:1]
    rest = [scene for scene in unnamed if scene not in test]
    held_out = settings.test_fraction + settings.validation_fraction
    validation = [scene for scene in rest if settings.test_fraction <= _draw(scene) < held_out]
    if settings.validation_fraction and not validation and not settings.validation:
        validation = rest[:1]
    splits |= dict.fromkeys(rest, "train")
    splits |= dict.fromkeys(validation, "validation")
    splits |= dict.fromkeys(test, "test")
    return splits


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
