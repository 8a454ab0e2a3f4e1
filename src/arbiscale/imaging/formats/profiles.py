"""Colour profiles: what a matrix and a curve say as an ICC profile, and colours in sRGB."""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Any

import numpy as np

Curve = tuple[float, float, float, float, float]  # g, a, b, c, d: (a x + b)^g from d on, else c x
Primaries = tuple[tuple[float, float], ...]  # (x, y) of white, red, green, blue

SRGB_PRIMARIES: Primaries = ((0.3127, 0.329), (0.64, 0.33), (0.3, 0.6), (0.15, 0.06))
SRGB_CURVE: Curve = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
REC_709: Curve = (1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)
LINEAR: Curve = (1, 1, 0, 0, 0)

_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_D50 = np.array([0.9642, 1.0, 0.8249])  # of every profile's connection space
_SAME = 2  # levels of 255 by which colours of a profile may differ from sRGB's and count as them
_STEPS = 9  # of the grid on which profiles are compared


def make_profile(primaries: Primaries, curve: Curve, *, grey: bool = False) -> bytes:
    """A matrix profile (ICC.1:2022, section 8.3), or one of grey (8.4).

    Raises:
        ValueError: primaries that span no colours.
    """
    bent = b"para\0\0\0\0\0\3\0\0" + _fixed(*curve)
    tags = {b"desc": b"mluc\0\0\0\0\0\0\0\1\0\0\0\x0cenUS\0\0\0\x0a\0\0\0\x1c" + "image".encode("utf-16-be")}
    tags[b"cprt"] = tags[b"desc"]
    tags[b"wtpt"] = b"XYZ \0\0\0\0" + _fixed(*_D50)
    if grey:
        tags[b"kTRC"] = bent
    else:
        for letter, column in zip("rgb", _matrix(primaries).T, strict=True):
            tags[f"{letter}XYZ".encode()] = b"XYZ \0\0\0\0" + _fixed(*column)
            tags[f"{letter}TRC".encode()] = bent
    table, bodies = b"", b""
    for name, body in tags.items():
        table += name + struct.pack(">II", 132 + 12 * len(tags) + len(bodies), len(body))
        bodies += body + b"\0" * (-len(body) % 4)
    space = b"GRAY" if grey else b"RGB "
    head = b"\0" * 8 + struct.pack(">I", 0x0430_0000) + b"mntr" + space + b"XYZ " + b"\0" * 12 + b"acsp"
    head = head.ljust(68, b"\0") + _fixed(*_D50)
    whole = head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + bodies
    return struct.pack(">I", len(whole)) + whole[4:]


def _fixed(*numbers: float) -> bytes:
    """Numbers as s15Fixed16."""
    return struct.pack(f">{len(numbers)}i", *(round(float(number) * 65536) for number in numbers))


def _matrix(primaries: Primaries) -> np.ndarray:
    """RGB to XYZ, adapted to D50 by Bradford's cone responses."""
    white, *corners = (np.array([x / y, 1, (1 - x - y) / y]) if y else np.zeros(3) for x, y in primaries)
    try:
        matrix = np.stack(corners, 1)
        matrix = matrix * np.linalg.solve(matrix, white)
        scale = (_BRADFORD @ _D50) / (_BRADFORD @ white)
        adapted: np.ndarray = np.linalg.inv(_BRADFORD) @ np.diag(scale) @ _BRADFORD @ matrix
    except np.linalg.LinAlgError:
        raise ValueError("its primaries (cHRM) span no colours") from None
    if not np.isfinite(adapted).all() or np.abs(adapted).max() > 10:
        raise ValueError("its primaries (cHRM) span no colours")
    return adapted


def to_srgb(image: Any, profile: bytes, *, depth: int) -> Any:
    """A libvips image of a profile's colours, alpha included, in sRGB of 8 or 16 bits.

    Raises:
        pyvips.Error: the profile is broken, or of other colours than the image.
    """
    import pyvips

    tagged = image.copy()
    tagged.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    return tagged.icc_transform("srgb", embedded=True, depth=depth, black_point_compensation=True)


@lru_cache(maxsize=8)
def is_srgb(profile: bytes) -> bool:
    """Whether a profile of RGB or grey gives sRGB's colours, whatever it is called.

    Raises:
        pyvips.Error: the profile is broken.
    """
    import pyvips

    levels = np.linspace(0, 255, _STEPS).round().astype(np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(_STEPS, -1, 3)
    if profile[16:20] == b"GRAY":
        grid = np.arange(256, dtype=np.uint8)[None, :, None]
    image = pyvips.Image.new_from_array(np.ascontiguousarray(grid)).copy(
        interpretation="srgb" if grid.shape[2] == 3 else "b-w"
    )
    converted = to_srgb(image, profile, depth=8).numpy()
    return int(np.abs(converted.reshape(*grid.shape[:2], -1).astype(int) - grid).max()) <= _SAME
