"""The implicit head: features at any resolution -> colours on a grid of any size (LIIF)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from arbiscale.coordinates import AxisNeighbours, Region, Size, axis_neighbours

_DISTANCE_FLOOR = 1e-9  # shares a pixel fairly between neighbours that are both that pixel
_COORDINATE_GAIN = 8.0  # of the initial weights on the relative coordinates
_CHUNK_QUERIES = 1 << 16  # per pass without gradients: bounds memory, keeps the caches warm


class ImplicitHead(nn.Module):
    """An MLP on [feature, relative (y, x), cell (y, x)] of the 4 nearest latent pixels, blended by area.

    LIIF without feature unfolding (arXiv 2012.09161, equations 2-5; arXiv 2403.10255, section 3.2).
    The first layer is linear in its inputs, so its feature part is evaluated once per latent pixel
    and gathered, and the coordinate parts are added per axis: the same numbers without building
    (batch, queries, features + 4).
    """

    def __init__(self, features: int, width: int, layers: int, channels: int = 3) -> None:
        super().__init__()
        self.first = nn.Linear(features + 4, width)
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in range(layers - 1))
        self.output = nn.Linear(width, channels)
        self.features = features
        with torch.no_grad():  # hinges as dense as pixels: as drawn, position is drowned by the features
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
                holds every pixel the region reads; None = they are all.
            origin: that part's (top, left) in the whole latent.

        Returns:
            Raw colours, shape (batch, channels, *region size).
        """
        top, left, height, width = region
        inputs = inputs or (features.shape[-2], features.shape[-1])
        columns = axis_neighbours(size[1], inputs[1], left, width, features.device)
        columns = replace(columns, index=columns.index - origin[1])
        projected = self._project(features, inputs, size)  # (batch, height, width, hidden)
        rows_at_once = height
        if not torch.is_grad_enabled():
            rows_at_once = max(1, _CHUNK_QUERIES // (width * len(features)))
        bands = []
        for start in range(0, height, rows_at_once):
            count = min(rows_at_once, height - start)
            rows = axis_neighbours(size[0], inputs[0], top + start, count, features.device)
            rows = replace(rows, index=rows.index - origin[0])
            bands.append(self._band(projected, rows, columns))
        image = torch.cat(bands, dim=1) if len(bands) > 1 else bands[0]
        return image.permute(0, 3, 1, 2)

    def _project(self, features: Tensor, inputs: Size, size: Size) -> Tensor:
        """The first layer's feature, cell and bias parts, per latent pixel."""
        weight = self.first.weight
        cell = features.new_tensor(
            [2 * pixels / outputs for pixels, outputs in zip(inputs, size, strict=True)]
        )
        constant = self.first.bias + weight[:, self.features + 2 :] @ cell
        return functional.linear(features.permute(0, 2, 3, 1), weight[:, : self.features], constant)

    def _band(self, projected: Tensor, rows: AxisNeighbours, columns: AxisNeighbours) -> Tensor:
        """Colours (batch, rows, columns, channels) of the outputs where these rows and columns cross."""
        weight = self.first.weight
        to_y, to_x = weight[:, self.features], weight[:, self.features + 1]
        areas = _blend_weights(rows, columns).to(projected.dtype)
        shape = (len(projected), len(rows.index[0]), len(columns.index[0]), self.output.out_features)
        image = projected.new_zeros(shape)
        for y in (0, 1):
            row_features = projected.index_select(1, rows.index[y])
            along_y = rows.relative[y].to(projected.dtype)[:, None, None] * to_y  # (rows, 1, hidden)
            for x in (0, 1):
                along_x = columns.relative[x].to(projected.dtype)[:, None] * to_x  # (columns, hidden)
                hidden = row_features.index_select(2, columns.index[x]) + (along_y + along_x)
                hidden = functional.relu(hidden, inplace=True)
                for layer in self.hidden:
                    hidden = functional.relu(layer(hidden), inplace=True)
                image = image + self.output(hidden) * areas[y, x][..., None]
        return image


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
