"""The pictures of a page: each encoded once, without loss, and only so many."""

from __future__ import annotations

import base64
import hashlib
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

BUDGET_BYTES = 4_500_000  # of all encoded pictures; base64 makes a third more of it


class Album:
    """Pictures as data URIs by their identity; equal pictures are held once."""

    def __init__(self, budget_bytes: int = BUDGET_BYTES) -> None:
        self._left_bytes = budget_bytes
        self._uris: dict[str, str] = {}

    @property
    def uris(self) -> dict[str, str]:
        """Data URIs by identity, in the order of their coming."""
        return self._uris

    def take(self, pictures: dict[str, NDArray[np.uint8]]) -> dict[str, str] | None:
        """The identities of pictures, uint8 (height, width, 3), by label.

        None where they do not fit any more: either all are taken or none, and after the first that did not
        fit no new picture is.
        """
        identities = {label: _identity(pixels) for label, pixels in pictures.items()}
        unknown = {identity: label for label, identity in identities.items() if identity not in self._uris}
        if unknown and not self._left_bytes:
            return None
        new = {identity: _encoded(pictures[label]) for identity, label in unknown.items()}
        size_bytes = sum(len(encoded) for encoded in new.values())
        if size_bytes > self._left_bytes:
            self._left_bytes = 0
            return None
        self._left_bytes -= size_bytes
        self._uris |= {identity: _uri(encoded) for identity, encoded in new.items()}
        return identities


def _identity(pixels: NDArray[np.uint8]) -> str:
    """The same for equal pictures."""
    digest = hashlib.sha256(repr(pixels.shape).encode() + np.ascontiguousarray(pixels).tobytes())
    return f"p{digest.hexdigest()[:16]}"


def _encoded(pixels: NDArray[np.uint8]) -> bytes:
    """A picture as WebP, without loss; as PNG where WebP cannot hold its size."""
    stream, picture = io.BytesIO(), Image.fromarray(pixels)
    if max(picture.size) > 16_383:
        picture.save(stream, "PNG")
    else:
        picture.save(stream, "WEBP", lossless=True, quality=60, method=2, exact=True)
    return stream.getvalue()


def _uri(encoded: bytes) -> str:
    kind = "png" if encoded.startswith(b"\x89PNG") else "webp"
    return f"data:image/{kind};base64,{base64.b64encode(encoded).decode('ascii')}"
