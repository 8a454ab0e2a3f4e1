"""Where a training reports to; the library knows this interface only, not MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np


class Recorder(Protocol):
    """Takes curves, pictures and tags."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Record values at an optimizer step."""

    def log_image(self, name: str, image: np.ndarray, step: int | None = None) -> None:
        """Record a picture, uint8 (height, width, 3), at an optimizer step."""

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Record what is true of the training as a whole."""
