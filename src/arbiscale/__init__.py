"""Arbitrary-scale image generation and super-resolution: one model for any output size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from arbiscale.model import Model, load_model

__version__ = "0.1.0"
__all__ = ["Model", "__version__", "load_model"]


def __getattr__(name: str) -> Any:
    """Import the model façade (and torch with it) on first use only."""
    if name in {"Model", "load_model"}:
        from arbiscale import model

        return getattr(model, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
