"""What a model is given from Python: pictures, sizes, regions, seeds and tensors, checked."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from arbiscale.errors import UserError
from arbiscale.imaging.coordinates import Region, Size, check_region
from arbiscale.imaging.picture import Metadata, Picture, Pixels
from arbiscale.imaging.pixels import to_array, to_tensor
from arbiscale.imaging.reading import from_pil


def target_size(size: Size, scale: float | tuple[float, float] | None, wanted: Size | None) -> Size:
    """The output size of an input of (height, width) pixels from a scale or a wanted size.

    Raises:
        UserError: neither or both given, no number, or an output below 1 px.
    """
    if (scale is None) == (wanted is None):
        raise UserError("give either a scale or a size")
    if scale is None:
        return checked_size(wanted)
    try:
        vertical, horizontal = scale if isinstance(scale, tuple | list) else (scale, scale)
        return checked_size((round(size[0] * vertical), round(size[1] * horizontal)))
    except (TypeError, ValueError, OverflowError):  # not numbers, or not two of them; NaN, infinity
        raise UserError(f"scale {scale!r}: must be a factor, or (vertical, horizontal)") from None


def checked_size(size: Any, name: str = "the output") -> Size:
    """(height, width) in pixels of what is named, as whole numbers.

    Raises:
        UserError: it is not that, or below 1 px.
    """
    try:
        height, width = map(operator.index, size)
    except (TypeError, ValueError):
        raise UserError(f"size {size!r}: must be (height, width) in whole pixels") from None
    if min(height, width) < 1:
        raise UserError(f"{name} would be {height}x{width} px; ask for at least 1x1")
    return (height, width)


def checked_share(name: str, value: Any) -> float:
    """A number from 0 to 1; raises UserError for anything else."""
    if not isinstance(value, int | float | np.floating) or not 0 <= value <= 1:
        raise UserError(f"{name} {value!r}: must be a number from 0 to 1")
    return float(value)


def checked_count(count: Any) -> int:
    """How many pictures, as a whole number.

    Raises:
        UserError: it is none, or below 1.
    """
    try:
        whole = operator.index(count)
    except TypeError:
        whole = 0
    if whole < 1:
        raise UserError(f"count {count!r}: must be a whole number from 1 on")
    return whole


def checked_region(region: Any, size: Size) -> Region:
    """(top, left, height, width) inside a picture of (height, width) pixels, as whole numbers.

    Raises:
        UserError: it is not that.
    """
    try:
        top, left, height, width = map(operator.index, region)
    except (TypeError, ValueError):
        raise UserError(f"region {region!r}: must be (top, left, height, width) in whole pixels") from None
    try:
        return check_region((top, left, height, width), size)
    except ValueError:
        raise UserError(f"region {region!r}: must lie inside the picture of {size[0]}x{size[1]} px") from None


def checked_tensor(name: str, given: Any, channels: int, *, multiple: int = 1) -> Tensor:
    """A tensor (batch, channels, height, width) in float32, sides multiples of a number of pixels.

    Raises:
        UserError: it is not that; by its name.
    """
    found = tuple(given.shape) if isinstance(given, Tensor) else type(given).__name__
    if not isinstance(given, Tensor) or given.ndim != 4 or given.shape[1] != channels:
        raise UserError(f"{name}: must be a tensor (batch, {channels}, height, width), not {found}")
    if not given.numel() or any(side % multiple for side in given.shape[2:]):
        raise UserError(f"{name}: sides must be multiples of {multiple} px, and not 0; not {found}")
    if not given.is_floating_point():
        raise UserError(f"{name}: must be of floating point, not {given.dtype}; images lie in [-1, 1]")
    return given.float()


def checked_seed(seed: Any) -> int:
    """A seed, as a whole number.

    Raises:
        UserError: it is none, or below 0, or of more than 63 bits.
    """
    try:
        whole = operator.index(seed)
    except TypeError:
        whole = -1
    if not 0 <= whole < 2**63:
        raise UserError(f"seed {seed!r}: must be a whole number from 0 on, of at most 63 bits")
    return whole


def checked_seeds(seed: Any, count: int) -> tuple[int, ...]:
    """The seed of each of some pictures: of one number, its successors; or a sequence of as many.

    Raises:
        UserError: as `checked_seed`; or there are not as many.
    """
    if not isinstance(seed, Sequence) or isinstance(seed, str):
        first = checked_seed(seed)
        return tuple(checked_seed(first + index) for index in range(count))
    if len(seed) != count:
        raise UserError(f"seeds: give one, or one a picture ({count}), not {len(seed)}")
    return tuple(map(checked_seed, seed))


_ROUNDING = 1e-3  # by which a tensor may leave [-1, 1]


def to_picture(image: Any) -> Picture:
    """A picture of a picture, a PIL image, an array or a tensor; see `Model.upscale`.

    Raises:
        UserError: another type, shape or range.
    """
    if isinstance(image, Picture):
        return image
    if isinstance(image, Image.Image):
        return from_pil(image)
    if not isinstance(image, Tensor):
        return _from_array(image)
    batch = image if image.ndim == 4 else image[None]
    if batch.ndim != 4 or batch.shape[0] != 1 or batch.shape[1] not in _CHANNELS:
        raise UserError(f"the picture: must be (3, height, width), not {tuple(image.shape)}")
    if not batch.numel():
        raise UserError(f"the picture: must hold pixels, not be {tuple(image.shape)}")
    if image.dtype == torch.uint8:
        return _from_array(batch[0].permute(1, 2, 0).cpu().contiguous().numpy())
    if not image.is_floating_point() or not (batch.abs().max() <= 1 + _ROUNDING):  # so that NaN fails too
        raise UserError("the picture: a tensor must lie in [-1, 1], or be uint8")
    return _from_array(to_array(batch.detach(), bits=16))


_CHANNELS = (1, 2, 3, 4)  # grey or RGB, alone or with alpha


def _from_array(pixels: Any) -> Picture:
    """A picture of (height, width), or (height, width, channels), the last for alpha where they are even."""
    whole = pixels[..., None] if isinstance(pixels, np.ndarray) and pixels.ndim == 2 else pixels
    if not isinstance(whole, np.ndarray) or whole.ndim != 3 or whole.shape[2] in {1, 3}:
        return Picture(whole)
    if whole.shape[2] not in _CHANNELS:
        raise UserError(f"the picture: must have 1 to 4 channels last, not {pixels.shape}")
    return Picture(np.ascontiguousarray(whole[..., :-1]), np.ascontiguousarray(whole[..., -1]))


def like(image: Any, samples: Pixels, metadata: Metadata) -> Any:
    """Samples (height, width, channels) as what an image is: a tensor, a PIL image or an array."""
    if isinstance(image, Tensor):
        whole = torch.from_numpy(samples).permute(2, 0, 1)[None].contiguous()
        drawn = whole if image.dtype == torch.uint8 else to_tensor(samples)
        return (drawn if image.ndim == 4 else drawn[0]).to(image)
    if not isinstance(image, Image.Image):
        return samples[..., 0] if isinstance(image, np.ndarray) and image.ndim == 2 else samples
    if samples.dtype == np.uint16 and samples.shape[2] > 1:  # of which Pillow has only grey
        samples = ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)
    shown = Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples)
    kept = {"icc_profile": metadata.icc_profile, "exif": metadata.exif, "xmp": metadata.xmp}
    shown.info.update({name: value for name, value in kept.items() if value})
    return shown
