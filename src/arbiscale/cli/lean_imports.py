"""Importing diffusers without what no network here uses, which takes seconds of a command's start."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

_COMPILER = "torch._dynamo"
_NEEDED = {"_torch_available", "_safetensors_available", "_hf_hub_available"}


@contextmanager
def lean_imports() -> Iterator[None]:
    """While it lasts, diffusers imports neither torch's compiler nor packages that it finds beside it.

    diffusers tells the compiler which functions of its pipelines to leave alone, which takes nothing but
    imports all of it; networks that are to be compiled are imported without this. The packages, such as
    torchvision, scipy, transformers and peft, serve networks and schedules that none here is made of.
    """
    if _COMPILER in sys.modules:
        yield
        return
    sys.modules[_COMPILER] = _CompilerThatMarksNothing(_COMPILER)
    try:
        from diffusers.utils import import_utils

        there = {name for name, value in vars(import_utils).items() if value is True}
        found = {name for name in there - _NEEDED if name.endswith("_available")}
        vars(import_utils).update(dict.fromkeys(found, False))
        try:
            yield
        finally:
            vars(import_utils).update(dict.fromkeys(found, True))
    finally:
        del sys.modules[_COMPILER]


class _CompilerThatMarksNothing(ModuleType):
    """Stands in for the compiler: its decorators give back what they are given."""

    @staticmethod
    def allow_in_graph(function: Callable[..., Any]) -> Callable[..., Any]:
        """Leave a function as it is."""
        return function

    @staticmethod
    def disable(function: Callable[..., Any] | None = None, *_: Any, **__: Any) -> Callable[..., Any]:
        """Leave a function as it is."""
        return function or _CompilerThatMarksNothing.allow_in_graph
