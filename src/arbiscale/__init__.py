"""Arbitrary-scale image generation and super-resolution: one model for any output size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from arbiscale.inference.loading import load_model
    from arbiscale.inference.model import Model

__version__ = "0.1.0"
__all__ = ["Model", "__version__", "load_model"]


def __getattr__(name: str) -> Any:
    """Import the façade (and torch with it) on first use only."""
    if name == "Model":
        from arbiscale.inference.model import Model

        return Model
    if name == "load_model":
        from arbiscale.inference.loading import load_model

        return load_model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
