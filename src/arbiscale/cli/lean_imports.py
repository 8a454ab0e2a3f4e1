"""Importing diffusers without what no network here uses: half of the time that a command takes to start."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

COMPILER = "torch._dynamo"
OPTIONAL_PACKAGES = ("_scipy_available", "_torchvision_available")  # asked for before each is imported


@contextmanager
def lean_imports() -> Iterator[None]:
    """While it lasts, diffusers imports neither torch's compiler nor scipy.stats nor torchvision.

    diffusers tells the compiler which functions of its pipelines to leave alone, which takes nothing but
    imports all of it; networks that are to be compiled are imported without this. The packages belong to
    schedules and networks of its own that none here is made of.
    """
    if COMPILER in sys.modules:
        yield
        return
    sys.modules[COMPILER] = _CompilerThatMarksNothing(COMPILER)
    try:
        from diffusers.utils import import_utils

        found = {name: getattr(import_utils, name, False) for name in OPTIONAL_PACKAGES}
        vars(import_utils).update(dict.fromkeys(found, False))
        try:
            yield
        finally:
            vars(import_utils).update(found)
    finally:
        del sys.modules[COMPILER]


class _CompilerThatMarksNothing(ModuleType):
    """Stands in for the compiler: each of its decorators gives back what it is given."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):  # of the import system
            raise AttributeError(name)
        return _unmarked


def _unmarked(function: Any = None, *_: Any, **__: Any) -> Any:
    return _unmarked if function is None else function
