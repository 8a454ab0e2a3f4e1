"""The network of the local ensemble, evaluated forwards and backwards in chunks that stay in the caches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

_CHUNK_BYTES = 1 << 20  # activations of one layer for each thread of a CPU: they stay in its caches
_CHUNK_QUERIES = 1 << 16  # on an accelerator


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
