"""One small picture for all of these tests."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """Smooth colours with an edge, uint8 (56, 72, 3)."""
    y, x = np.mgrid[:56, :72]
    pixels = np.stack([3 * y, 2 * x + y, 255 - 2 * x], axis=2)
    pixels[20:, 40:] //= 2
    return pixels.clip(0, 255).astype(np.uint8)
