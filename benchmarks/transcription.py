"""The published way to decode: every query gathers its features, and the network reads all of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from arbiscale.imaging.coordinates import Size
from arbiscale.networks.implicit_head import ImplicitHead

_SHIFT = 1e-6  # keeps a query on the edge between two pixels on one side of it


class Transcription(nn.Module):
    """LIIF's query as arXiv 2403.10255 uses it, step by step, with the weights of an implicit head.

    For each of the 4 neighbours: grid_sample of the features, grid_sample of their coordinates,
    concatenation of features, relative coordinates and cell, five linear layers; then the blend by area.
    It is what the implicit head is compared with, in numbers and in cost.
    """

    def __init__(self, head: ImplicitHead) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for linear in (head.first, *head.hidden):
            layers += [linear, nn.ReLU()]
        self.network = nn.Sequential(*layers, head.output)

    def forward(self, features: Tensor, size: Size, chunk: int | None = None) -> Tensor:
        """Colours of the whole output.

        Args:
            features: shape (batch, features, height, width).
            size: (height, width) of the output.
            chunk: how many queries at once; None = all.

        Returns:
            Colours, shape (batch, channels, *size).
        """
        batch = len(features)
        queries = _grid(size, features).reshape(-1, 2).expand(batch, -1, -1)  # (batch, queries, 2)
        cells = features.new_tensor([2 / size[0], 2 / size[1]]).expand_as(queries)
        chunk = chunk or queries.shape[1]
        parts = [
            self._query(features, some, cell)
            for some, cell in zip(queries.split(chunk, 1), cells.split(chunk, 1), strict=True)
        ]
        return torch.cat(parts, 1).unflatten(1, size).permute(0, 3, 1, 2)

    def _query(self, features: Tensor, queries: Tensor, cells: Tensor) -> Tensor:
        """Colours (batch, queries, channels) at coordinates (batch, queries, 2)."""
        height, width = features.shape[-2:]
        pixels = features.new_tensor([height, width])
        centres = _grid((height, width), features).permute(2, 0, 1).expand(len(features), -1, -1, -1)
        colours, areas = [], []
        for down in (-1, 1):
            for right in (-1, 1):
                shifted = queries + features.new_tensor([down, right]) / pixels + _SHIFT
                shifted = shifted.clamp(-1 + _SHIFT, 1 - _SHIFT)
                relative = (queries - _nearest(centres, shifted)) * pixels
                inputs = torch.cat([_nearest(features, shifted), relative, cells * pixels], -1)
                rows = self.network(inputs.flatten(0, 1))  # (batch * queries, channels)
                colours.append(rows.unflatten(0, queries.shape[:2]))
                areas.append(relative.prod(-1).abs() + 1e-9)
        total = torch.stack(areas).sum(0)
        blended = torch.zeros_like(colours[0])
        for colour, opposite in zip(colours, reversed(areas), strict=True):
            blended = blended + colour * (opposite / total)[..., None]
        return blended


def _grid(size: Size, like: Tensor) -> Tensor:
    """Coordinates (height, width, 2) of pixel centres, in [-1, 1]."""
    axes = [(2 * torch.arange(count, dtype=like.dtype, device=like.device) + 1) / count - 1 for count in size]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)


def _nearest(values: Tensor, queries: Tensor) -> Tensor:
    """The values (batch, channels, height, width) nearest to queries (batch, n, 2): (batch, n, channels)."""
    grid = queries.flip(-1).unsqueeze(1)  # grid_sample wants (x, y)
    sampled = functional.grid_sample(values, grid, mode="nearest", align_corners=False)
    return sampled[:, :, 0].permute(0, 2, 1)
