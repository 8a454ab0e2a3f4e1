"""High-resolution pictures and their low resolutions, as a protocol makes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from arbiscale.errors import UserError
from arbiscale.evaluation.held_out import HeldOutCrop
from arbiscale.evaluation.pictures import as_shown
from arbiscale.evaluation.protocols import Protocol, Sizes
from arbiscale.imaging.coordinates import Size
from arbiscale.imaging.kernels import matlab_bicubic
from arbiscale.imaging.pixels import to_tensor
from arbiscale.imaging.resize import resize


@dataclass(frozen=True)
class Pairs:
    """Pictures of one size with their low resolutions.

    Attributes:
        photographs: their names.
        names: of the pictures themselves.
        truth: shape (batch, 3, height, width), in [-1, 1].
        low: shape (batch, 3, low height, low width), in [-1, 1], of 8-bit values.
    """

    photographs: list[str]
    names: list[str]
    truth: Tensor
    low: Tensor

    def to(self, device: torch.device) -> Pairs:
        """The same on a device."""
        return replace(self, truth=self.truth.to(device), low=self.low.to(device))


def make_pairs(
    protocol: Protocol,
    images: Sequence[HeldOutCrop],
    scale: float,
    left_out: list[str],
    *,
    workers: int = 0,
) -> Iterator[Pairs]:
    """Pairs of one scale: all at once where the protocol draws them together, else one by one.

    Args:
        protocol: whose kernel and sizes.
        images: of one size where the protocol draws them together, and crops them.
        scale: output / input.
        left_out: gains one line for every image that cannot be read or is too small for this scale.
        workers: processes that read and shrink images ahead; 0 = none. The pairs are the same.
    """
    made = _single_pairs(protocol, images, scale, left_out, workers)
    if not protocol.together:
        yield from made
    elif single := list(made):
        photographs = [name for pair in single for name in pair.photographs]
        names = [name for pair in single for name in pair.names]
        truth, low = (torch.cat([getattr(pair, part) for pair in single]) for part in ("truth", "low"))
        yield Pairs(photographs, names, truth, low)


def resized(protocol: Protocol, images: Tensor, size: Size) -> Tensor:
    """8-bit images in [-1, 1] resized by the protocol's bicubic kernel; MATLAB's rounds to 8 bits."""
    if protocol.kernel == "pil":
        return resize(images, size)
    eight_bits = (as_shown(images) * 255).round().to(torch.uint8)
    return matlab_bicubic(eight_bits, size).float().div(127.5).sub(1)


def _single_pairs(
    protocol: Protocol, images: Sequence[HeldOutCrop], scale: float, left_out: list[str], workers: int
) -> Iterator[Pairs]:
    """One pair per image, in the order of the images."""
    pairs, workers = _PairMaking(protocol, images, scale), min(workers, len(images))
    # A fork would copy the locks of libvips' threads, and wait for them for ever.
    context = "forkserver" if workers else None
    for made in DataLoader(pairs, batch_size=None, num_workers=workers, multiprocessing_context=context):
        if isinstance(made, str):
            left_out.append(made)
        else:
            yield made


class _PairMaking(Dataset[Pairs | str]):
    """Makes the pair of an image, or a line that says why there is none."""

    def __init__(self, protocol: Protocol, images: Sequence[HeldOutCrop], scale: float) -> None:
        self._protocol, self._images, self._scale = protocol, images, scale

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Pairs | str:
        protocol, scale = self._protocol, self._scale
        try:
            image = self._images[index]
        except UserError as error:
            return f"{protocol.name}: left out: {error}"
        height, width = image.pixels.shape[:2]
        sizes = protocol.sizes((height, width), scale)
        if _too_small(protocol, (height, width), sizes, scale):
            return (
                f"{protocol.name}: {image.photograph} of {width}x{height} px is too small for x{scale:g} "
                "and left out"
            )
        whole = to_tensor(image.pixels)
        if protocol.truth == "crop":
            truth = whole[..., : sizes.truth[0], : sizes.truth[1]]
            low = resized(protocol, truth, sizes.low)
        else:
            square = _middle_square(whole)
            truth = as_shown(resized(protocol, square, sizes.truth)) * 2 - 1
            low = resized(protocol, square, sizes.low)
        return Pairs([image.photograph], [image.name], truth, as_shown(low) * 2 - 1)


def _too_small(protocol: Protocol, size: Size, sizes: Sizes, scale: float) -> bool:
    """Whether the input or the compared part would be empty, or the truth would have to be enlarged."""
    compared = min(sizes.truth) - 2 * protocol.shave_px(scale)
    return min(sizes.low) < 1 or compared < 1 or min(sizes.truth) > min(size)


def _middle_square(image: Tensor) -> Tensor:
    """The largest square in the middle of an image."""
    height, width = image.shape[-2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return image[..., top : top + side, left : left + side]
