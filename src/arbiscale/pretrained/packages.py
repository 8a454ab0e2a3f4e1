"""Packages that networks come from and that an installation may lack."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from arbiscale.errors import UnavailableError


def optional_module(name: str, install: str) -> Any:
    """A module of an optional package.

    Args:
        name: of the module.
        install: the command that brings its package.

    Raises:
        UnavailableError: it, or what it needs, is not installed; says what to do.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise UnavailableError(f"{error.name} is not installed; run `{install}`") from None
