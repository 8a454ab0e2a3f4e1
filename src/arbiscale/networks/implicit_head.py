"""LIIF's head: an MLP on the features, coordinates and cell of 4 latent pixels, blended by area."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from arbiscale.networks.local_ensemble import (
    Band,
    LocalEnsembleHead,
    Queries,
    chunk_queries,
    crossing,
    pixel_table,
    product_type,
)

_COORDINATE_GAIN = 8.0  # of the initial weights on the relative coordinates


class ImplicitHead(LocalEnsembleHead):
    """An MLP on [feature, relative (y, x), cell (y, x)] of the 4 nearest latent pixels, blended by area.

    LIIF without feature unfolding (arXiv 2012.09161, equations 2-5; arXiv 2403.10255, section 3.2).
    The first layer is linear in its inputs, so its feature and cell parts are evaluated once per latent
    pixel and gathered, and the coordinates' part is added: the same numbers without building
    (batch, queries, features + 4).
    """

    def __init__(self, features: int, width: int, layers: int, channels: int = 3) -> None:
        super().__init__()
        self.first = nn.Linear(features + 4, width)
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in range(layers - 1))
        self.output = nn.Linear(width, channels)
        self.features = features
        with torch.no_grad():  # otherwise the features' part dominates that of the position
            self.first.weight[:, features : features + 2] *= _COORDINATE_GAIN

    def evaluate(self, band: Band) -> Tensor:
        """Colours (batch, rows, columns, channels) of the queries of a band."""
        dtype = product_type(self.output.weight)
        layers = [(layer.weight.to(dtype), layer.bias.to(dtype)) for layer in (*self.hidden, self.output)]
        index, relative, area = crossing(band)
        chunk = chunk_queries(self.first.out_features, dtype, band.features.device, index.shape[1])
        with torch.autocast(band.features.device.type, enabled=False):
            table, to_yx = self._project(band.features, (band.rows.cell, band.columns.cell))
            queries = Queries.in_chunks(index, relative.to(table.dtype), area.to(table.dtype), chunk)
            colours = blend(queries, table, to_yx, layers)  # (batch * rows * columns, channels)
        return colours.view(*band.shape, -1)

    def _project(self, features: Tensor, cell: tuple[float, float]) -> tuple[Tensor, Tensor]:
        """The first layer in two parts: a row per latent pixel, and the weights (2, hidden) on (y, x)."""
        pixels = pixel_table(features)
        weight, bias = self.first.weight.to(pixels.dtype), self.first.bias.to(pixels.dtype)
        of_features, to_yx, to_cell = weight.split((self.features, 2, 2), dim=1)
        return functional.linear(pixels, of_features, bias + to_cell @ pixels.new_tensor(cell)), to_yx.t()


def blend(queries: Queries, table: Tensor, to_yx: Tensor, layers: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """The network's outputs for the 4 neighbours of every query, blended by area.

    Differentiable once, in everything but the queries. Backwards, the first layer's and the last hidden
    layer's activations are computed again: of d hidden layers, d - 2 are kept, and one product more than
    usual is made for each row.

    Args:
        queries: what to evaluate.
        table: the first layer's output per latent pixel without its coordinates' part, before the
            activation, shape (latent pixels, width), float32 or float64.
        to_yx: the first layer's weights on the relative coordinates, shape (2, width), as `table`.
        layers: weight (outputs, width) and bias (outputs,) of every further layer, the output's last;
            products are computed in their type.

    Returns:
        Colours, shape (queries, outputs), of the table's type.
    """
    tensors = [table, to_yx, *(tensor for layer in layers for tensor in layer)]
    learning = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    return _Blend.apply(queries, learning, *tensors)


class _Blend(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, queries: Queries, learning: bool, *tensors: Tensor) -> Tensor:
        network = _Network(*tensors)
        chunks, rows = queries.index.shape
        buffers = network.buffers(rows), network.buffers(rows)
        kept = [network.buffers(chunks, rows) for _ in range(network.hidden - 1)] if learning else []
        colours = network.table.new_empty(chunks, rows // 4, len(network.biases[-1]))
        for chunk in range(chunks):
            values = network.first(queries.index[chunk], queries.relative[chunk], out=buffers[0])
            for layer in range(network.hidden):
                out = kept[layer][chunk] if layer < len(kept) else buffers[(layer + 1) % 2]
                values = network.layer(layer, values, out=out)
            outputs = torch.addmm(network.biases[-1], values, network.weights[-1].t())
            parts = outputs.unflatten(0, (4, -1)) * queries.area[chunk]  # (4, queries, outputs)
            torch.add(parts[0] + parts[1], parts[2] + parts[3], out=colours[chunk])
        ctx.queries = queries
        ctx.save_for_backward(*tensors, *kept)
        return colours.flatten(0, 1)[: queries.count]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        queries: Queries = ctx.queries
        wanted = ctx.needs_input_grad[2:]
        tensors, kept = ctx.saved_tensors[: len(wanted)], ctx.saved_tensors[len(wanted) :]
        network = _Network(*tensors)
        gradients = [torch.zeros_like(tensor, dtype=network.table.dtype) for tensor in tensors]
        of_table, of_yx, *of_layers = gradients
        chunks, rows = queries.index.shape
        first, last, *scratch = (network.buffers(rows) for _ in range(4))
        filling = (0, 0, 0, chunks * rows // 4 - queries.count)
        of_colours = functional.pad(gradient, filling).unflatten(0, (chunks, 1, -1))
        for chunk in range(chunks):
            index, relative = queries.index[chunk], queries.relative[chunk]
            inputs = [
                network.first(index, relative, out=first),
                *(layer[chunk] for layer in kept),
            ]  # (rows, width)
            if network.hidden:
                inputs.append(network.layer(network.hidden - 1, inputs[-1], out=last))
            # (rows, outputs), then (rows, width) from layer to layer
            flowing = (of_colours[chunk] * queries.area[chunk]).flatten(0, 1).to(first.dtype)
            for layer in reversed(range(network.hidden + 1)):
                if wanted[2 + 2 * layer]:
                    of_layers[2 * layer] += flowing.t() @ inputs[layer]
                if wanted[3 + 2 * layer]:
                    of_layers[2 * layer + 1] += flowing.sum(0)
                flowing = torch.mm(flowing, network.weights[layer], out=scratch[layer % 2])
                _through_relu_(flowing, inputs[layer])
            flowing = flowing.to(network.table.dtype)
            of_table.index_add_(0, index, flowing)
            of_yx += relative.t() @ flowing
        return (None, None, *(each if want else None for each, want in zip(gradients, wanted, strict=True)))


class _Network:
    """The layers, evaluated for the rows of one chunk into given memory."""

    def __init__(self, table: Tensor, to_yx: Tensor, *layers: Tensor) -> None:
        self.table, self.to_yx = table, to_yx
        self.weights, self.biases = layers[::2], layers[1::2]
        self.hidden = len(self.weights) - 1

    def buffers(self, *shape: int) -> Tensor:
        """Memory for activations (*shape, width)."""
        return torch.empty(*shape, self.table.shape[1], dtype=self.weights[0].dtype, device=self.table.device)

    def first(self, index: Tensor, relative: Tensor, out: Tensor) -> Tensor:
        """Activations of the first layer: coordinates need the table's precision, whatever type follows."""
        exact = out if out.dtype == self.table.dtype else torch.empty_like(out, dtype=self.table.dtype)
        torch.index_select(self.table, 0, index, out=exact)
        exact.addmm_(relative, self.to_yx).relu_()
        return out if exact is out else out.copy_(exact)

    def layer(self, layer: int, values: Tensor, out: Tensor) -> Tensor:
        """Activations of a further hidden layer."""
        return torch.addmm(self.biases[layer], values, self.weights[layer].t(), out=out).relu_()


def _through_relu_(gradient: Tensor, output: Tensor) -> Tensor:
    """The gradient of a ReLU's input from that of its output, in place."""
    torch.ops.aten.threshold_backward.grad_input(gradient, output, 0, grad_input=gradient)
    return gradient
