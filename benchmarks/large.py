"""Large pictures: what tiles change and where, and the memory that huge outputs take."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count, pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arbiscale.imaging.coordinates import Region, Size
from arbiscale.inference.latent_model import LatentModel
from arbiscale.inference.loading import load_model
from arbiscale.inference.memory import choose_tiling
from arbiscale.inference.model import Model
from arbiscale.inference.tiles import cut
from arbiscale.inference.writing import write_drawing
from arbiscale.networks.local_ensemble import LocalEnsembleHead
from benchmarks.figures import Figure
from benchmarks.measure import peak_mib

SCALE = 2.37
TILED_PX, TILE_PX = 256, 64  # sides of the picture, and of the tiles forced on it
MEETING_PX = 4  # on both sides of the middle of an overlap, in pixels of the picture
MEGAPIXEL = (1024, 1024)
LARGEST_GROWTH, LARGEST_MIB, LARGEST_HUGE_MIB = 1.05, 2048.0, 512.0  # bars
HUGE_SUFFIXES = (".png", ".tif", ".jpg", ".dzi")
DRAWN_EVERY = 16  # bands of a huge picture: the others are the picture resized, as the bands are of one size


def large(model: Path, output_px: int, device: torch.device) -> Iterator[Figure]:
    """Tiles against the whole, a picture of 1 megapixel, and 512x512 drawn at `output_px` squared."""
    mean, growth = error_of_tiles(load_model(model, str(device)))
    title = f"{TILED_PX} px x{SCALE:g} in tiles of {TILE_PX}"
    yield Figure(title, "mean difference to untiled, of 255", mean)
    yield Figure(title, "difference where tiles meet / elsewhere", growth, at_most=LARGEST_GROWTH)
    size, name = _times(MEGAPIXEL, SCALE), "peak memory above the loaded model, MiB"
    ready = partial(prepare, model, MEGAPIXEL, size, device)
    yield Figure(
        f"{MEGAPIXEL[0]}x{MEGAPIXEL[1]} to {size[0]}x{size[1]}, to disk",
        name,
        peak_mib(ready, device),
        at_most=LARGEST_MIB,
    )
    for suffix in HUGE_SUFFIXES:
        ready = partial(prepare, model, (512, 512), (output_px, output_px), device, suffix, DRAWN_EVERY)
        title = f"512x512 to {output_px}x{output_px}, {suffix}"
        yield Figure(title, name, peak_mib(ready, device), at_most=LARGEST_HUGE_MIB)


def error_of_tiles(model: Model) -> tuple[float, float]:
    """The difference between tiled and untiled: its mean, and how much larger it is where tiles meet."""
    picture = photograph((TILED_PX, TILED_PX)).astype(np.uint16) * 257  # so that rounding hides nothing
    size = _times((TILED_PX, TILED_PX), SCALE)
    whole, tiled = (model.sample(picture, tile=tile).draw(size) / 257 for tile in ("none", TILE_PX))
    error = np.abs(whole - tiled).mean(axis=2)

    assert isinstance(model, LatentModel)
    per_pixel = model.factor // model.downsampling
    latent_px = TILED_PX * per_pixel
    tiling = choose_tiling(model.config, model.device, (latent_px, latent_px), TILE_PX)
    assert tiling is not None
    meeting = np.zeros(size[0], dtype=bool)
    for before, after in pairwise(cut(latent_px, tiling)):
        middle = (after.start + before.stop) / 2 / per_pixel
        meeting[round((middle - MEETING_PX) * SCALE) : round((middle + MEETING_PX) * SCALE)] = True
    there = meeting[:, None] | meeting
    return float(error.mean()), float(error[there].mean() / error[~there].mean())


class SparseHead:
    """A head that draws one band of several, for memory that does not depend on what is drawn."""

    def __init__(self, head: LocalEnsembleHead, every: int) -> None:
        self.rows_read, self._head, self._every, self._bands = head.rows_read, head, every, count()

    def __call__(self, features: Tensor, size: Size, region: Region, **options: Any) -> Tensor:
        """Colours (1, 3, *region size): the head's own, or none."""
        if next(self._bands) % self._every == 0:
            return cast("Tensor", self._head(features, size, region, **options))
        return features.new_zeros(1, 3, *region[2:])


def prepare(
    model: Path, size: Size, target: Size, device: torch.device, suffix: str = ".png", drawn_every: int = 1
) -> Callable[[], None]:
    """A loaded model, warmed up, that upscales a photograph into a file when called."""
    loaded = load_model(model, str(device))
    loaded.upscale(photograph((32, 32)), scale=2.0)
    if drawn_every > 1:
        loaded.head = cast("LocalEnsembleHead", SparseHead(loaded.head, drawn_every))
    return partial(_upscale, loaded, size, target, suffix)


def photograph(size: Size) -> NDArray[np.uint8]:
    """The middle of scikit-image's astronaut, mirrored at its sides where more is wanted."""
    from skimage.data import astronaut

    pixels: NDArray[np.uint8] = astronaut()
    more = [max(0, -(-(wanted - side) // 2)) for wanted, side in zip(size, pixels.shape[:2], strict=True)]
    pixels = np.pad(pixels, [(more[0], more[0]), (more[1], more[1]), (0, 0)], mode="reflect")
    top, left = ((side - wanted) // 2 for side, wanted in zip(pixels.shape[:2], size, strict=True))
    return np.ascontiguousarray(pixels[top : top + size[0], left : left + size[1]])


def _upscale(model: Model, size: Size, target: Size, suffix: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_drawing(model.sample(photograph(size)), target, Path(folder, f"large{suffix}"))


def _times(size: Size, scale: float) -> Size:
    return (round(size[0] * scale), round(size[1] * scale))
