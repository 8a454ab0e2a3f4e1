"""The local ensemble: every output pixel reads the 4 nearest latent pixels, weighted by area (LIIF).

Base of all heads. Queries are evaluated in bands of rows, and in chunks of one shape.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from arbiscale.imaging.coordinates import AxisNeighbours, Region, Size, axis_neighbours
from arbiscale.networks.texture import Texture

_CHUNK_BYTES = 1 << 20  # activations of one layer for each thread of a CPU: they stay in its caches
_CHUNK_QUERIES = 1 << 16  # on an accelerator
_BAND_QUERIES = 1 << 16  # per pass without gradients: bounds memory
_ACCELERATOR_TIMES = 16  # more queries learn at once there: each pass costs launches, and memory is larger
_TABLE_ROWS = 64  # products of a few rows take other kernels, with other last bits
_DISTANCE_FLOOR = 1e-9  # equal weights for two neighbours that are the same pixel


@dataclass(frozen=True)
class Band:
    """Some rows of queries.

    Attributes:
        features: the part of the latent that they read, shape (batch, features, height, width).
        rows: of the queries, counted within that part.
        columns: likewise.
        at: which of all rows these are.
        learning: whether gradients are wanted.
    """

    features: Tensor
    rows: AxisNeighbours
    columns: AxisNeighbours
    at: slice
    learning: bool

    @property
    def shape(self) -> tuple[int, int, int]:
        """(batch, rows, columns)."""
        return len(self.features), self.rows.index.shape[1], self.columns.index.shape[1]


class LocalEnsembleHead(nn.Module, ABC):
    """Draws features of any resolution on a grid of any size.

    On a CPU, without gradients, a pixel is the same to the bit in every region.

    Attributes:
        features: channels that it reads.
        output: the last layer.
        least_cell: smaller cells, of larger scales, are taken as this one.
        patch_px: side of the square that a query draws.
        learning_queries: evaluated at once where gradients are wanted; None = all.
    """

    features: int
    output: nn.Linear
    least_cell: float = 0.0
    patch_px: int = 1
    learning_queries: int | None = None

    def forward(
        self,
        features: Tensor,
        size: Size,
        region: Region,
        *,
        inputs: Size | None = None,
        origin: tuple[int, int] = (0, 0),
        texture: Texture | None = None,
    ) -> Tensor:
        """Colours of a region of the output.

        Args:
            features: shape (batch, features, height, width).
            size: (height, width) of the whole output.
            region: (top, left, height, width) of the part wanted.
            inputs: (height, width) of the whole latent, where `features` are those of a part of it that
                holds every pixel the region reads; None = they are the whole.
            origin: that part's (top, left) in the whole latent.
            texture: how a flow draws; other heads have none and ignore it.

        Returns:
            Raw colours, shape (batch, channels, *region size).
        """
        top, left, height, width = region
        inputs = inputs or (features.shape[-2], features.shape[-1])
        rows = axis_neighbours(size[0], inputs[0], top, height).moved(origin[0])
        columns = axis_neighbours(size[1], inputs[1], left, width).moved(origin[1])
        bands = [self.evaluate(band) for band in self.cut(features, rows, columns)]
        image = torch.cat(bands, dim=1) if len(bands) > 1 else bands[0]  # (batch, height, width, channels)
        return image.permute(0, 3, 1, 2)

    def rows_read(self, start: int, count: int, outputs: int, inputs: int) -> tuple[int, int]:
        """The first latent row that `count` output rows from `start` on read, and the one behind the last."""
        index = axis_neighbours(outputs, inputs, start, count).index
        return int(index.min()), int(index.max()) + 1

    def cut(self, features: Tensor, rows: AxisNeighbours, columns: AxisNeighbours) -> Iterator[Band]:
        """The queries where rows and columns cross, some rows at a time."""
        rows, columns = (replace(axis, cell=max(axis.cell, self.least_cell)) for axis in (rows, columns))
        width, height = columns.index.shape[1] * len(features), rows.index.shape[1]
        learning = torch.is_grad_enabled() and any(
            tensor.requires_grad for tensor in (features, *self.parameters())
        )
        queries = self.learning_queries if learning else _BAND_QUERIES
        if queries and learning and features.device.type != "cpu":
            queries *= _ACCELERATOR_TIMES
        count = height if queries is None else max(1, queries // width)
        for start in range(0, height, count):
            at = slice(start, min(start + count, height))
            yield Band(*_read_part(features, rows.part(at), columns), at, learning)

    @abstractmethod
    def evaluate(self, band: Band) -> Tensor:
        """Outputs (batch, rows, columns, channels) of the queries of a band."""


def _read_part(
    features: Tensor, rows: AxisNeighbours, columns: AxisNeighbours
) -> tuple[Tensor, AxisNeighbours, AxisNeighbours]:
    """The part of the features that these neighbours lie in, and the neighbours counted within it."""
    axes = []
    for dim, axis in ((2, rows), (3, columns)):
        first, last = int(axis.index[0, 0]), int(axis.index[1, -1])
        features = features.narrow(dim, first, last + 1 - first)
        index, relative = (axis.index - first).to(features.device), axis.relative.to(features.device)
        axes.append(replace(axis, index=index, relative=relative))
    return features, axes[0], axes[1]


def crossing(band: Band) -> tuple[Tensor, Tensor, Tensor]:
    """The queries (batch, rows, columns) of a band, flattened.

    Returns:
        Of each query's 4 neighbours: the latent pixel's number, int64 (4, queries), in (batch, height,
        width) order; relative (y, x), float32 (4, queries, 2); the area weight, float32 (4, queries).
    """
    batch, _, height, width = band.features.shape
    samples = torch.arange(batch, device=band.features.device)[:, None, None] * (height * width)
    down, right = band.rows.index[:, None, None, :, None], band.columns.index[None, :, None, None, :]
    index = samples + down * width + right  # (2, 2, batch, rows, columns)
    y = band.rows.relative[:, None, None, :, None].expand_as(index)
    x = band.columns.relative[None, :, None, None, :].expand_as(index)
    area = area_weights(band.rows.relative[:, :, None], band.columns.relative[:, None, :])
    area = area[:, :, None].expand_as(index)
    return index.reshape(4, -1), torch.stack([y, x], -1).reshape(4, -1, 2), area.reshape(4, -1)


def pixel_table(features: Tensor) -> Tensor:
    """A row per latent pixel, shape (batch * height * width + padding, features), at least float32."""
    pixels = features.permute(0, 2, 3, 1).flatten(0, 2)
    pixels = pixels.to(torch.promote_types(pixels.dtype, torch.float32))
    return functional.pad(pixels, (0, 0, 0, -len(pixels) % _TABLE_ROWS))


def product_type(weight: Tensor) -> torch.dtype:
    """What matrix products are computed in on a weight's device: autocast's type, or the weight's."""
    device = weight.device
    wanted = torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else weight.dtype
    return multiplied_in(wanted, device)


def area_weights(down: Tensor, right: Tensor) -> Tensor:
    """Weights (2, 2, ...) of the neighbours: the area opposite to each, normalised.

    Args:
        down: the queries relative to the upper and the lower neighbour, along y, shape (2, ...).
        right: the same along x; shapes are broadcast.
    """
    return _axis_weights(down)[:, None] * _axis_weights(right)[None]


def _axis_weights(relative: Tensor) -> Tensor:
    """Weights (2, ...) along one axis: the distance to the other neighbour, normalised.

    Normalised areas are products of these. Taken together, areas would vanish on the last row and
    column at a pixel's centre, and leave the other axis without its weights.
    """
    distance = relative.abs() + _DISTANCE_FLOOR
    return distance.flip(0) / distance.sum(0)


@dataclass(frozen=True)
class Queries:
    """Output pixels and their 4 nearest latent pixels, in chunks.

    All chunks have the same shape; the last one is padded with queries of zero area. The kernel of a matrix
    product depends on its shape, so this makes a pixel the same to the bit wherever it is.

    Attributes:
        index: latent pixels, shape (chunks, 4 * queries).
        relative: query minus the latent pixel's centre, (y, x), shape (chunks, 4 * queries, 2).
        area: weights in the blend, shape (chunks, 4, queries, 1).
        count: number of queries without the padding.
    """

    index: Tensor
    relative: Tensor
    area: Tensor
    count: int

    @staticmethod
    def in_chunks(index: Tensor, relative: Tensor, area: Tensor, chunk: int) -> Queries:
        """From an index (4, count), relative coordinates (4, count, 2) and areas (4, count)."""

        def chunks(values: Tensor) -> Tensor:
            filled = functional.pad(values, (0, 0, 0, -values.shape[1] % chunk))  # (4, n * chunk, k)
            return filled.unflatten(1, (-1, chunk)).transpose(0, 1).contiguous()  # (n, 4, chunk, k)

        return Queries(
            chunks(index[..., None]).flatten(1),
            chunks(relative).flatten(1, 2),
            chunks(area[..., None]),
            index.shape[1],
        )


def chunk_queries(width: int, dtype: torch.dtype, device: torch.device, count: int) -> int:
    """How many queries to evaluate at once, 4 rows of `width` activations each."""
    if device.type != "cpu":
        return min(count, _CHUNK_QUERIES)
    rows = torch.get_num_threads() * _CHUNK_BYTES // (width * dtype.itemsize)
    return max(16, rows // 4)


def multiplied_in(dtype: torch.dtype, device: torch.device) -> torch.dtype:
    """What to multiply a type's numbers in: float32 where a CPU would have to emulate a shorter type.

    Emulated products are ten times slower than float32's and less exact.
    """
    if device.type == "cpu" and dtype in (torch.bfloat16, torch.float16):
        mkldnn = torch.ops.mkldnn
        native = {torch.bfloat16: "_is_mkldnn_bf16_supported", torch.float16: "_is_mkldnn_fp16_supported"}
        if not (torch.backends.mkldnn.is_available() and getattr(mkldnn, native[dtype])()):
            return torch.float32
    return dtype
