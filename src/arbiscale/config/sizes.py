"""Sizes as people write them: height x width in pixels."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Size = tuple[int, int]  # (height, width)
HeightByWidth = Annotated[
    str,
    Field(pattern=r"^[1-9]\d{0,4}x[1-9]\d{0,4}$", description="HEIGHTxWIDTH in pixels, such as 160x224"),
]


def parse_size(text: str) -> Size:
    """`160x224` as (height, width)."""
    height, width = text.split("x")
    return int(height), int(width)


def size_name(size: Size) -> str:
    """(height, width) as `160x224`."""
    return f"{size[0]}x{size[1]}"
