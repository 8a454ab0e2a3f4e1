"""Noise as a function of seed, picture and sample: it depends on nothing beside the picture."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def noise_seeds(seed: int, pictures: Sequence[str], sample: int = 0) -> list[int]:
    """The seeds of noise and texture of some pictures, independent of each other.

    Args:
        seed: of the evaluation.
        pictures: their names, each unique in its data set.
        sample: number of the draw, where a picture is drawn several times.
    """
    digests = (hashlib.sha256(f"{seed}/{sample}/{picture}".encode()).digest() for picture in pictures)
    return [int.from_bytes(digest[:8]) >> 1 for digest in digests]  # 63 bits
