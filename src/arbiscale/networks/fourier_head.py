"""The Fourier head: texture estimated per latent pixel, an ensemble of its features, one MLP evaluation."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from arbiscale.networks.local_ensemble import (
    Band,
    LocalEnsembleHead,
    Queries,
    chunk_queries,
    crossing,
    pixel_table,
    product_type,
)

Finish = Callable[[Tensor, Tensor | None], Tensor]  # (outputs, what was given for the queries) -> result

_LEARNING_QUERIES = 1 << 15  # evaluated at once, and again backwards: bounds a training's memory


class FourierHead(LocalEnsembleHead):
    """The Fourier feature ensemble of LINF (arXiv 2303.05156, section 3.3) under an MLP.

    The local texture estimator (arXiv 2111.08918) gives every latent pixel amplitudes and frequencies, and
    the cell phases. With the relative coordinate r of a query, a neighbour's features are
    amplitude * [cos, sin](pi * (frequency . r + phase)). Those of the 4 neighbours, weighted by area, are
    concatenated, so the MLP is evaluated once for a query instead of 4 times.

    Args:
        features: channels that it reads.
        width: of the hidden layers.
        layers: hidden layers of the MLP.
        frequencies: of a latent pixel; each has an amplitude for its cosine and one for its sine.
        channels: of the output.
    """

    learning_queries = _LEARNING_QUERIES

    def __init__(self, features: int, width: int, layers: int, frequencies: int, channels: int = 3) -> None:
        super().__init__()
        self.features, self.frequencies = features, frequencies
        self.amplitude = nn.Linear(features, 2 * frequencies)  # of cosines, then of sines
        self.frequency = nn.Linear(features, 2 * frequencies)  # on y, then on x
        self.phase = nn.Linear(2, frequencies, bias=False)
        widths = [4 * 2 * frequencies, *[width] * layers]
        self.hidden = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))
        self.output = nn.Linear(width, channels)

    def evaluate(self, band: Band) -> Tensor:
        """Colours (batch, rows, columns, channels) of the queries of a band."""
        cell = (band.rows.cell, band.columns.cell)
        return self.at(band.features, *crossing(band), cell, learning=band.learning).view(*band.shape, -1)

    def at(
        self,
        features: Tensor,
        index: Tensor,
        relative: Tensor,
        area: Tensor,
        cell: tuple[float, float],
        *,
        given: Tensor | None = None,
        finish: Finish = lambda outputs, given: outputs,
        learning: bool = False,
    ) -> Tensor:
        """The MLP's outputs at any queries, or what `finish` makes of them.

        Args:
            features: shape (batch, features, height, width).
            index: latent pixels of the 4 neighbours, shape (4, queries); see `crossing`.
            relative: queries relative to them, (y, x), shape (4, queries, 2).
            area: weights, shape (4, queries).
            cell: (y, x), in half latent pixels.
            given: a row for each query, for `finish`.
            finish: called with some of the queries' outputs and rows of `given`.
            learning: whether gradients are wanted: then all queries are one chunk.

        Returns:
            A row for each query.
        """
        dtype, device, count = product_type(self.output.weight), features.device, index.shape[1]
        with torch.autocast(device.type, enabled=False):
            table, phase = self._table(features), self._phase(cell)
            if learning:
                run: Any = self._outputs
                tensors = (index, relative, area[..., None])
                outputs = checkpoint(run, table, phase, dtype, *tensors, use_reentrant=False)
                return finish(outputs, given)
            chunk = chunk_queries(6 * self.frequencies, dtype, device, count)
            queries = Queries.in_chunks(index, relative, area, chunk)
            rows = None if given is None else _in_chunks(given, chunk)
            chunks = [
                finish(
                    self._outputs(
                        table,
                        phase,
                        dtype,
                        queries.index[number].unflatten(0, (4, -1)),
                        queries.relative[number].unflatten(0, (4, -1)),
                        queries.area[number],
                    ),
                    None if rows is None else rows[number],
                )
                for number in range(len(queries.index))
            ]
        return torch.cat(chunks)[:count]

    def _table(self, features: Tensor) -> Tensor:
        """A row of amplitudes and frequencies per latent pixel, shape (pixels, 4 * frequencies)."""
        pixels = pixel_table(features)
        weight = torch.cat([self.amplitude.weight, self.frequency.weight]).to(pixels.dtype)
        bias = torch.cat([self.amplitude.bias, self.frequency.bias]).to(pixels.dtype)
        return functional.linear(pixels, weight, bias)

    def _phase(self, cell: tuple[float, float]) -> Tensor:
        weight = self.phase.weight
        weight = weight.to(torch.promote_types(weight.dtype, torch.float32))
        return weight @ weight.new_tensor(cell)  # (frequencies,)

    def _outputs(
        self, table: Tensor, phase: Tensor, dtype: torch.dtype, index: Tensor, relative: Tensor, area: Tensor
    ) -> Tensor:
        """The MLP's outputs (queries, channels) of queries (4, queries, ...)."""
        count = index.shape[1]
        read = table.index_select(0, index.t().flatten())  # (queries * 4, 4 * frequencies)
        at, share = relative.transpose(0, 1).flatten(0, 1), area.transpose(0, 1).flatten(0, 1)
        of_cos, of_sin, on_y, on_x = read.chunk(4, dim=1)
        half_turns = phase + on_y * at[:, :1] + on_x * at[:, 1:]  # (queries * 4, frequencies)
        angle = half_turns * math.pi
        values = torch.cat([of_cos * angle.cos(), of_sin * angle.sin()], dim=1) * share
        values = values.view(count, -1).to(dtype)  # (queries, 4 * 2 * frequencies)
        *hidden, output = [
            (layer.weight.to(dtype), layer.bias.to(dtype)) for layer in (*self.hidden, self.output)
        ]
        for weight, bias in hidden:
            values = functional.linear(values, weight, bias).relu()
        return functional.linear(values, *output).to(table.dtype)


def _in_chunks(rows: Tensor, chunk: int) -> Tensor:
    """Rows (count, n) as (chunks, chunk, n), padded by zeros."""
    return functional.pad(rows, (0, 0, 0, -len(rows) % chunk)).unflatten(0, (-1, chunk))
