"""Lists of places that have names: `NAME=WHERE`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Named = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9_-]+=.+$",
        description="NAME=WHERE, such as mine=pretrained/mine; names of a-z, 0-9, _ and -",
    ),
]  # NAME=WHERE; the name becomes part of metrics' names


def by_name(entries: list[str]) -> dict[str, str]:
    """Entries `NAME=WHERE` as a mapping."""
    return dict(entry.split("=", 1) for entry in entries)
