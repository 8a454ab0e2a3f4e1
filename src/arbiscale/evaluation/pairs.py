"""High-resolution pictures and their low resolutions, as a protocol makes them, one picture after another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from arbiscale.data.degradation import Degradation
from arbiscale.data.workers import worker_context
from arbiscale.errors import UserError
from arbiscale.evaluation.held_out import HeldOutPicture
from arbiscale.evaluation.protocols import Protocol, Sizes
from arbiscale.imaging.coordinates import Size
from arbiscale.imaging.kernels import matlab_bicubic
from arbiscale.imaging.pixels import to_tensor
from arbiscale.imaging.resize import resize

BATCH_PIXELS = 2**19  # of the output, on an accelerator: 8 crops of 256 px at a time


@dataclass(frozen=True)
class Pairs:
    """Pictures of one size with their low resolutions.

    Attributes:
        pictures: what they are.
        truth: shape (batch, 3, height, width), in [-1, 1], of 8-bit values.
        low: shape (batch, 3, low height, low width), in [-1, 1], of 8-bit values.
    """

    pictures: Sequence[HeldOutPicture]
    truth: Tensor
    low: Tensor

    @property
    def names(self) -> list[str]:
        """Of the pictures."""
        return [picture.name for picture in self.pictures]

    @property
    def size(self) -> Size:
        """(height, width) of the truth."""
        return self.truth.shape[-2], self.truth.shape[-1]


@dataclass(frozen=True)
class Prepared:
    """A picture at every scale.

    Attributes:
        number: in its data set.
        pairs: by scale, truth and low resolution, each uint8 (3, height, width).
        problems: one line for every scale at which there is none.
    """

    number: int
    pairs: dict[float, tuple[Tensor, Tensor]]
    problems: list[str]

    @property
    def shapes(self) -> list[tuple[float, torch.Size, torch.Size]]:
        """By which pictures can be drawn together."""
        return [(scale, truth.shape, low.shape) for scale, (truth, low) in self.pairs.items()]


class Preparation(Dataset[Prepared]):
    """Makes a data set's pairs by a protocol; `degradation`: of its low resolutions, where it has any."""

    def __init__(
        self,
        protocol: Protocol,
        pictures: Sequence[HeldOutPicture],
        scales: Sequence[float],
        degradation: Degradation | None = None,
    ) -> None:
        self.protocol, self.pictures, self.scales = protocol, pictures, scales
        if protocol.degraded and degradation is None:
            raise ValueError(f"{protocol.name}: has no degradation")
        self._degradation = degradation if protocol.degraded else None

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, number: int) -> Prepared:
        protocol, picture = self.protocol, self.pictures[number]
        made = Prepared(number, {}, [])
        try:
            pixels = picture.read()
        except UserError as error:
            made.problems.append(f"{protocol.name}: left out: {error}")
            return made
        height, width = pixels.shape[:2]
        whole = to_tensor(pixels)
        for scale in self.scales:
            sizes = protocol.sizes((height, width), scale)
            if _too_small(protocol, (height, width), sizes, scale):
                made.problems.append(
                    f"{protocol.name}: {picture.name} of {width}x{height} px is too small for x{scale:g} "
                    "and left out"
                )
                continue
            source = whole[..., : sizes.truth[0], : sizes.truth[1]]
            if protocol.truth == "resize":
                source = _middle_square(whole)
            truth = resized(protocol, source, sizes.truth)
            low = self._low(source, sizes.low, picture)
            made.pairs[scale] = eight_bits(truth)[0], eight_bits(low)[0]
        return made

    def _low(self, source: Tensor, size: Size, picture: HeldOutPicture) -> Tensor:
        if self._degradation is None:
            return resized(self.protocol, source, size)
        return self._degradation(source, size, [picture.name])

    def load(self, numbers: Sequence[int], workers: int) -> Iterator[Prepared]:
        """Some pictures in this order; `workers`: processes that prepare them ahead, 0 = none."""
        workers = min(workers, len(numbers))
        context = worker_context(workers)
        yield from DataLoader(
            self, batch_size=None, sampler=numbers, num_workers=workers, multiprocessing_context=context
        )

    def together(self, prepared: Sequence[Prepared], scale: float, device: torch.device) -> Pairs:
        """Pictures of equal sizes, at a scale, on a device."""
        pictures = [self.pictures[each.number] for each in prepared]
        truth, low = (
            torch.stack([each.pairs[scale][part] for each in prepared]).to(device).float().div(127.5).sub(1)
            for part in (0, 1)
        )
        return Pairs(pictures, truth, low)


def in_batches(prepared: Iterable[Prepared], device: torch.device) -> Iterator[list[Prepared]]:
    """Neighbours of equal sizes, as many as a device draws together: one picture on a CPU.

    There, networks gain no time from batches, and what they compute of a picture would depend on their number
    in the last bits.
    """
    batch: list[Prepared] = []
    for each in prepared:
        if batch and (len(batch) >= _batch_size(device, each) or each.shapes != batch[0].shapes):
            yield batch
            batch = []
        batch.append(each)
    if batch:
        yield batch


def batch_size(device: torch.device, size: Size) -> int:
    """How many pictures of (height, width) pixels a device draws together."""
    return 1 if device.type == "cpu" else max(1, BATCH_PIXELS // (size[0] * size[1]))


def _batch_size(device: torch.device, prepared: Prepared) -> int:
    largest = max((truth.shape[1:].numel() for truth, _ in prepared.pairs.values()), default=1)
    return batch_size(device, (1, largest))


def resized(protocol: Protocol, images: Tensor, size: Size) -> Tensor:
    """8-bit images in [-1, 1] resized by the protocol's bicubic kernel; MATLAB's rounds to 8 bits."""
    if protocol.kernel == "pil" or tuple(images.shape[-2:]) == size:
        return resize(images, size)
    return matlab_bicubic(eight_bits(images), size).float().div(127.5).sub(1)


def eight_bits(images: Tensor) -> Tensor:
    """Images in [-1, 1] as uint8."""
    return images.clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)


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
