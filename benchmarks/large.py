"""Large pictures: what tiles change and where, and the memory that huge outputs take."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from arbiscale.imaging.coordinates import Size
from arbiscale.inference.latent_model import LatentModel
from arbiscale.inference.loading import load_model
from arbiscale.inference.memory import choose_tiling
from arbiscale.inference.model import Model
from arbiscale.inference.tiles import cut
from arbiscale.inference.writing import write_drawing
from benchmarks.figures import Figure
from benchmarks.measure import peak_mib

SCALE = 2.37
TILED_PX, TILE_PX = 256, 64  # sides of the picture, and of the tiles forced on it
MEETING_PX = 4  # on both sides of the middle of an overlap, in pixels of the picture
MEGAPIXEL = (1024, 1024)
LARGEST_GROWTH, LARGEST_MIB = 1.05, 2048.0  # bars


def large(model: Path, output_px: int, device: torch.device) -> Iterator[Figure]:
    """Tiles against the whole, a picture of 1 megapixel, and 512x512 drawn at `output_px` squared."""
    mean, growth = error_of_tiles(load_model(model, str(device)))
    title = f"{TILED_PX} px x{SCALE:g} in tiles of {TILE_PX}"
    yield Figure(title, "mean difference to untiled, of 255", mean)
    yield Figure(title, "difference where tiles meet / elsewhere", growth, at_most=LARGEST_GROWTH)
    for size, target in ((MEGAPIXEL, _times(MEGAPIXEL, SCALE)), ((512, 512), (output_px, output_px))):
        ready = partial(prepare, model, size, target, device)
        title = f"{size[0]}x{size[1]} to {target[0]}x{target[1]}, to disk"
        name = "peak memory above the loaded model, MiB"
        yield Figure(title, name, peak_mib(ready, device), at_most=LARGEST_MIB)


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


def prepare(model: Path, size: Size, target: Size, device: torch.device) -> Callable[[], None]:
    """A loaded model, warmed up, that upscales a photograph into a file when called."""
    loaded = load_model(model, str(device))
    loaded.upscale(photograph((32, 32)), scale=2.0)
    return partial(_upscale, loaded, size, target)


def photograph(size: Size) -> NDArray[np.uint8]:
    """The middle of scikit-image's astronaut, mirrored at its sides where more is wanted."""
    from skimage.data import astronaut

    pixels: NDArray[np.uint8] = astronaut()
    more = [max(0, -(-(wanted - side) // 2)) for wanted, side in zip(size, pixels.shape[:2], strict=True)]
    pixels = np.pad(pixels, [(more[0], more[0]), (more[1], more[1]), (0, 0)], mode="reflect")
    top, left = ((side - wanted) // 2 for side, wanted in zip(pixels.shape[:2], size, strict=True))
    return np.ascontiguousarray(pixels[top : top + size[0], left : left + size[1]])


def _upscale(model: Model, size: Size, target: Size) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_drawing(model.sample(photograph(size)), target, Path(folder, "large.png"))


def _times(size: Size, scale: float) -> Size:
    return (round(size[0] * scale), round(size[1] * scale))
