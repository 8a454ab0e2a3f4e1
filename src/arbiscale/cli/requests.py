"""What a command asks for, read and refused before anything heavy is imported."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from arbiscale.errors import UserError
from arbiscale.imaging.formats import FORMATS
from arbiscale.tracking.registry import check_registered
from arbiscale.tracking.versions import SCHEME
from arbiscale.workspace import PRETRAINED, repository_root

Size = tuple[int, int]  # (height, width) in pixels

LARGEST_PX = 2**34  # of one picture
LARGEST_SIDE_PX = 2**20
DEFAULT_MODELS = ("models/packed", "models/align_samples")
_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?|mps")
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?"


def parse_sides(text: str) -> tuple[int | None, int | None]:
    """`HEIGHTxWIDTH` in pixels, where one may be missing; raises UserError for anything else."""
    match = re.fullmatch(r"(?:([1-9]\d{0,9})x|x([1-9]\d{0,9}))", text, re.ASCII | re.IGNORECASE)
    if not match:
        return parse_size(text)
    return (int(match[1]) if match[1] else None, int(match[2]) if match[2] else None)


def parse_size(text: str) -> Size:
    """`HEIGHTxWIDTH` in pixels; raises UserError for anything else and for absurd sizes."""
    match = re.fullmatch(r"([1-9]\d{0,9})x([1-9]\d{0,9})", text, re.ASCII | re.IGNORECASE)
    if not match:
        raise UserError(f"--size: must be HEIGHTxWIDTH in pixels, such as 480x640 (got {text!r})")
    size = (int(match[1]), int(match[2]))
    check_pixels(size, f"--size {text}")
    return size


def parse_dpi(text: str) -> float | None:
    """Pixels an inch, or None for `keep`; raises UserError for anything else."""
    if text == "keep":
        return None
    if not re.fullmatch(r"\d{1,5}(\.\d+)?", text, re.ASCII) or not 1 <= float(text) <= 65535:
        raise UserError(f"--dpi: must be keep, or pixels an inch such as 300 (got {text!r})")
    return float(text)


def parse_scale(text: str) -> tuple[float, float]:
    """One factor, or `VERTICALxHORIZONTAL` factors; raises UserError unless all are finite and above 0."""
    match = re.fullmatch(rf"({_NUMBER})(?:x({_NUMBER}))?", text, re.ASCII | re.IGNORECASE)
    factors = (float(match[1]), float(match[2] or match[1])) if match else (math.nan, math.nan)
    if not all(0 < factor < math.inf for factor in factors):
        raise UserError(
            f"--scale: must be a factor above 0, such as 2.7, or two, such as 2.7x3.1 (got {text!r})"
        )
    return factors


def parse_point(text: str) -> tuple[float, float]:
    """`Y,X`, each in [0, 1]; raises UserError for anything else."""
    match = re.fullmatch(rf"({_NUMBER}),({_NUMBER})", text, re.ASCII | re.IGNORECASE)
    point = (float(match[1]), float(match[2])) if match else (math.nan, math.nan)
    if not all(0 <= each <= 1 for each in point):
        raise UserError(f"--at: must be Y,X with both from 0 to 1, such as 0.5,0.5 (got {text!r})")
    return point


def parse_format(name: str | None) -> str | None:
    """A format's suffix; raises UserError for one that cannot be written."""
    if name is None:
        return None
    suffix = f".{name.lower().lstrip('.')}"
    if suffix not in FORMATS:
        raise UserError(f"--format: must be one of {', '.join(each[1:] for each in FORMATS)} (got {name!r})")
    return suffix


@dataclass(frozen=True)
class Target:
    """How large the output shall be: by (vertical, horizontal) factors, or in pixels.

    Of a size, one side may be None: it follows from the other and the picture's proportions.
    """

    request: str  # as typed, for messages and names
    factors: tuple[float, float] | None = None
    size: tuple[int | None, int | None] | None = None

    @property
    def label(self) -> str:
        """For the names of files: `x2.5`, `x2x3` or `480x640`."""
        if self.size is not None:
            return "x".join("" if side is None else str(side) for side in self.size)
        assert self.factors is not None
        return "x" + "x".join(f"{factor:g}" for factor in dict.fromkeys(self.factors))

    def of(self, size: Size) -> Size:
        """The output's size for an input of (height, width) pixels; raises UserError for an absurd one."""
        factors = self.factors
        if self.size is not None:
            tall, wide = self.size
            if tall is not None and wide is not None:
                return (tall, wide)
            factors = (tall / size[0],) * 2 if tall is not None else ((wide or 0) / size[1],) * 2
        assert factors is not None
        exact = [side * factor for side, factor in zip(size, factors, strict=True)]
        if max(exact) > LARGEST_SIDE_PX:
            raise UserError(
                f"{self.request}: makes a side of more than {LARGEST_SIDE_PX:,} pixels of "
                f"{size[0]}x{size[1]}; ask for less"
            )
        result = (round(exact[0]), round(exact[1]))
        if min(result) < 1:
            raise UserError(f"{self.request}: leaves nothing of {size[0]}x{size[1]} pixels")
        check_pixels(result, self.request)
        return result


def parse_targets(scales: Sequence[str], sizes: Sequence[str]) -> list[Target]:
    """What --scale and --size ask for, once each; raises UserError for neither, both, or nonsense."""
    if scales and not sizes:
        wanted = [Target(f"--scale {text}", factors=parse_scale(text)) for text in scales]
    elif sizes and not scales:
        wanted = [Target(f"--size {text}", size=parse_sides(text)) for text in sizes]
    else:
        raise UserError("give either --scale or --size")
    return list({target.label: target for target in wanted}.values())


def check_pixels(size: Size, request: str) -> None:
    """Refuse a picture too large to be drawn in reasonable time."""
    if size[0] * size[1] > LARGEST_PX or max(size) > LARGEST_SIDE_PX:
        raise UserError(
            f"{request}: {size[0]}x{size[1]} are more than {LARGEST_PX:,} pixels, "
            f"or than {LARGEST_SIDE_PX:,} a side; ask for fewer"
        )


def check_input(name: str | Path, size: Size) -> None:
    """Refuse a picture in which there is nothing to see."""
    if size == (1, 1):
        raise UserError(f"{name}: is a single pixel, which shows nothing; give a larger picture")


def check_device(device: str) -> None:
    """Refuse a device that torch would not know by this name."""
    if not _DEVICE.fullmatch(device):
        raise UserError(f"--device: must be auto, cpu, cuda, cuda:N or mps (got {device!r})")


def check_place(path: Path) -> None:
    """Refuse an output whose folder cannot be written, before the work rather than after it."""
    if path.is_dir():
        raise UserError(f"{path}: is a folder; name the file to write")
    check_folder(path.parent)


def check_folder(folder: Path) -> None:
    """Refuse a folder that neither can be written nor made."""
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        raise UserError(f"{existing}: is not a folder; choose another output")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"{existing}: may not be written; choose another output or change its permissions")


def check_model_folder(folder: Path) -> None:
    """Refuse to write a model where something other than a model is, or where nothing may be written."""
    check_folder(folder)
    if folder.is_dir() and any(folder.iterdir()) and not is_model(folder):
        raise UserError(f"{folder}: holds files that are no model; name another folder")


def find_model(model: str | None, *, shipped: bool = False) -> str:
    """The model asked for, else the packed one of this repository, else the last stage's that is there.

    Where there is none and `shipped` allows it: the package's own, with a line on standard error.

    Raises:
        UserError: there is none; says how to get one.
    """
    if model == PRETRAINED:
        return model
    if model is not None:
        if model.startswith(SCHEME):
            check_registered(model)
        elif not is_model(Path(model)) and not Path(model).is_file():  # load_model refuses files, says how
            raise UserError(
                f"{model}: no model there (no config.json); name a model folder, models:/NAME@ALIAS or "
                f"{PRETRAINED}"
            )
        return model
    folders = [repository_root() / name for name in DEFAULT_MODELS]
    for folder in folders:
        if is_model(folder):
            return str(folder)
    if shipped:
        print(f"no model was trained here: drawing with the shipped one, {PRETRAINED}", file=sys.stderr)
        return PRETRAINED
    raise UserError(f"{folders[0]}: no model there yet; run dvc repro to train one, or name one with --model")


def is_model(folder: Path) -> bool:
    """Whether a folder holds a model."""
    return (folder / "config.json").is_file()
