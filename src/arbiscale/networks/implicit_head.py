"""The implicit head: features at any resolution -> colours on a grid of any size (LIIF)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from arbiscale.imaging.coordinates import AxisNeighbours, Region, Size, axis_neighbours
from arbiscale.networks.local_ensemble import Queries, blend, chunk_queries, multiplied_in

_DISTANCE_FLOOR = 1e-9  # equal weights for two neighbours that are the same pixel
_COORDINATE_GAIN = 8.0  # of the initial weights on the relative coordinates
_BAND_QUERIES = 1 << 16  # per pass without gradients: bounds memory
_TABLE_ROWS = 64  # products of a few rows take other kernels, with other last bits


class ImplicitHead(nn.Module):
    """An MLP on [feature, relative (y, x), cell (y, x)] of the 4 nearest latent pixels, blended by area.

    LIIF without feature unfolding (arXiv 2012.09161, equations 2-5; arXiv 2403.10255, section 3.2).
    The first layer is linear in its inputs, so its feature and cell parts are evaluated once per latent
    pixel and gathered, and the coordinates' part is added: the same numbers without building
    (batch, queries, features + 4). On a CPU a pixel is the same to the bit in every region.
    """

    def __init__(self, features: int, width: int, layers: int, channels: int = 3) -> None:
        super().__init__()
        self.first = nn.Linear(features + 4, width)
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in range(layers - 1))
        self.output = nn.Linear(width, channels)
        self.features = features
        with torch.no_grad():  # otherwise the features' part dominates that of the position
            self.first.weight[:, features : features + 2] *= _COORDINATE_GAIN

    def forward(
        self,
        features: Tensor,
        size: Size,
        region: Region,
        *,
        inputs: Size | None = None,
        origin: tuple[int, int] = (0, 0),
    ) -> Tensor:
        """Colours of a region of the output.

        Args:
            features: shape (batch, features, height, width).
            size: (height, width) of the whole output.
            region: (top, left, height, width) of the part wanted.
            inputs: (height, width) of the whole latent, where `features` are those of a part of it that
                holds every pixel the region reads; None = they are the whole.
            origin: that part's (top, left) in the whole latent.

        Returns:
            Raw colours, shape (batch, channels, *region size).
        """
        top, left, height, width = region
        inputs = inputs or (features.shape[-2], features.shape[-1])
        columns = axis_neighbours(size[1], inputs[1], left, width)
        columns = replace(columns, index=columns.index - origin[1])
        rows_at_once = height
        learning = any(tensor.requires_grad for tensor in (features, *self.parameters()))
        if not (learning and torch.is_grad_enabled()):
            rows_at_once = max(1, _BAND_QUERIES // (width * len(features)))
        bands = []
        for start in range(0, height, rows_at_once):
            rows = axis_neighbours(size[0], inputs[0], top + start, min(rows_at_once, height - start))
            rows = replace(rows, index=rows.index - origin[0])
            bands.append(self._band(features, rows, columns))  # (batch, rows, width, channels)
        image = torch.cat(bands, dim=1) if len(bands) > 1 else bands[0]  # (batch, height, width, channels)
        return image.permute(0, 3, 1, 2)

    def _band(self, features: Tensor, rows: AxisNeighbours, columns: AxisNeighbours) -> Tensor:
        """Colours (batch, rows, columns, channels) of the outputs where these rows and columns cross."""
        features, rows, columns = _read_part(features, rows, columns)
        dtype = multiplied_in(_autocast_dtype(features.device) or self.output.weight.dtype, features.device)
        layers = [(layer.weight.to(dtype), layer.bias.to(dtype)) for layer in (*self.hidden, self.output)]
        count = len(features) * rows.index.shape[1] * columns.index.shape[1]
        chunk = chunk_queries(self.first.out_features, dtype, features.device, count)
        with torch.autocast(features.device.type, enabled=False):
            table, to_yx = self._project(features, (rows.cell, columns.cell))
            queries = _crossing(rows, columns, features, chunk, table.dtype)
            colours = blend(queries, table, to_yx, layers)  # (batch * rows * columns, channels)
        return colours.view(len(features), rows.index.shape[1], columns.index.shape[1], -1)

    def _project(self, features: Tensor, cell: tuple[float, float]) -> tuple[Tensor, Tensor]:
        """The first layer in two parts: a row per latent pixel, and the weights (2, hidden) on (y, x)."""
        pixels = features.permute(0, 2, 3, 1).flatten(0, 2)  # (batch * height * width, features)
        pixels = pixels.to(torch.promote_types(pixels.dtype, torch.float32))
        pixels = functional.pad(pixels, (0, 0, 0, -len(pixels) % _TABLE_ROWS))
        weight, bias = self.first.weight.to(pixels.dtype), self.first.bias.to(pixels.dtype)
        of_features, to_yx, to_cell = weight.split((self.features, 2, 2), dim=1)
        return functional.linear(pixels, of_features, bias + to_cell @ pixels.new_tensor(cell)), to_yx.t()


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


def _crossing(
    rows: AxisNeighbours, columns: AxisNeighbours, features: Tensor, chunk: int, dtype: torch.dtype
) -> Queries:
    """The queries (batch, rows, columns) of features (batch, any, height, width), flattened."""
    batch, _, height, width = features.shape
    samples = torch.arange(batch, device=features.device)[:, None, None] * (height * width)
    down, right = rows.index[:, None, None, :, None], columns.index[None, :, None, None, :]
    index = samples + down * width + right  # (2, 2, batch, rows, columns)
    y = rows.relative[:, None, None, :, None].expand_as(index)
    x = columns.relative[None, :, None, None, :].expand_as(index)
    area = _blend_weights(rows, columns)[:, :, None].expand_as(index)
    return Queries.in_chunks(
        index.reshape(4, -1),
        torch.stack([y, x], -1).reshape(4, -1, 2).to(dtype),
        area.reshape(4, -1).to(dtype),
        chunk,
    )


def _autocast_dtype(device: torch.device) -> torch.dtype | None:
    return torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else None


def _blend_weights(rows: AxisNeighbours, columns: AxisNeighbours) -> Tensor:
    """Weights (2, 2, rows, columns) of the neighbours: the area opposite to each, normalised."""
    return _axis_weights(rows)[:, None, :, None] * _axis_weights(columns)[None, :, None, :]


def _axis_weights(axis: AxisNeighbours) -> Tensor:
    """Weights (2, outputs) along one axis: the distance to the other neighbour, normalised.

    Normalised areas are products of these. Taken together, areas would vanish on the last row and
    column at a pixel's centre, and leave the other axis without its weights.
    """
    distance = axis.relative.abs() + _DISTANCE_FLOOR
    return distance.flip(0) / distance.sum(0)
