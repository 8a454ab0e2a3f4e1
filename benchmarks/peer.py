"""A peer for the table: a network in ncnn's format, run in torch, enlarges what `arbiscale inputs` wrote.

`python -m benchmarks.peer INPUTS OUTPUTS 2=spanx2_ch48.param 4=spanx4_ch48.param`: by scale, with the weights
beside each as `.bin`. A network of another factor may be named for a scale; what it draws is then resized.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from arbiscale.imaging.pixels import to_array, to_tensor
from arbiscale.imaging.reading import read_image
from arbiscale.imaging.resize import resize
from arbiscale.imaging.writing import write_image
from arbiscale.progress import LongTask

HALF = 0x01306B47  # before weights in float16
ARRAY = -23300  # the key of an array is that of a number, taken from this
SUM, LEAKY = 1, 2  # of Eltwise; the activation that a convolution may hold


@dataclass(frozen=True)
class Layer:
    """A line of a `.param` file: inputs and outputs by name, and its numbers by their key."""

    kind: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    numbers: Mapping[int, Sequence[float]]

    @classmethod
    def of(cls, line: str) -> Layer:
        """The layer that a line describes."""
        kind, _, reads, writes, *rest = line.split()
        count, end = int(reads), int(reads) + int(writes)
        numbers = {}
        for entry in rest[end:]:
            key, _, value = entry.partition("=")
            values = [float(each) for each in value.split(",")]
            is_array = int(key) <= ARRAY  # the first is how many there are
            numbers[ARRAY - int(key) if is_array else int(key)] = values[1:] if is_array else values
        return cls(kind, rest[:count], rest[count:end], numbers)

    def whole(self, key: int, default: int = 0) -> int:
        """One of its numbers."""
        return int(self.numbers.get(key, [default])[0])


class Network:
    """A network of convolutions, for one picture at a time.

    Args:
        path: of its `.param` file.

    Raises:
        ValueError: it holds a kind of layer that is not known here.
    """

    def __init__(self, path: Path) -> None:
        self._layers = [Layer.of(line) for line in path.read_text().splitlines()[2:]]
        with path.with_suffix(".bin").open("rb") as stream:
            self._weights = [[*_read(layer, stream)] for layer in self._layers]

    @torch.no_grad()
    def __call__(self, picture: Tensor) -> Tensor:
        """A picture (1, 3, height, width) in [0, 1], enlarged."""
        known: dict[str, Tensor] = {}
        drawn = picture
        for layer, weights in zip(self._layers, self._weights, strict=True):
            inputs = [picture] if layer.kind == "Input" else [known.pop(name) for name in layer.inputs]
            drawn = _apply(layer, inputs, weights)
            known |= dict.fromkeys(layer.outputs, drawn)
        return drawn


def _read(layer: Layer, stream: BinaryIO) -> Iterator[Tensor]:
    """A layer's tensors, from where the one before it ends."""
    if layer.kind == "Convolution":
        count, outputs, side = layer.whole(6), layer.whole(0), layer.whole(1)
        half = int(_values(stream, 1, np.uint32)[0]) == HALF
        weights = _values(stream, count, np.float16 if half else np.float32)
        stream.seek(-stream.tell() % 4, 1)
        yield torch.from_numpy(weights.astype(np.float32)).reshape(outputs, -1, side, side)
        if layer.whole(5):
            yield torch.from_numpy(_values(stream, outputs, np.float32))
    elif layer.kind == "PReLU":
        yield torch.from_numpy(_values(stream, layer.whole(0), np.float32))
    elif layer.kind == "MemoryData":
        width, height, channels = (max(1, layer.whole(key)) for key in (0, 1, 2))
        values = _values(stream, width * height * channels, np.float32)
        yield torch.from_numpy(values).reshape(1, channels, height, width)


def _values(stream: BinaryIO, count: int, kind: type[np.generic]) -> np.ndarray:
    return np.frombuffer(bytearray(stream.read(count * np.dtype(kind).itemsize)), kind)


def _apply(layer: Layer, inputs: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    """What a layer makes of its inputs, each (1, channels, height, width)."""
    match layer.kind:
        case "Input" | "Split":
            return inputs[0]
        case "MemoryData":
            return weights[0]
        case "Convolution":
            bias = weights[1] if len(weights) > 1 else None
            drawn = functional.conv2d(inputs[0], weights[0], bias, layer.whole(3, 1), layer.whole(4))
            if layer.whole(9) == LEAKY:
                return functional.leaky_relu(drawn, layer.numbers[10][0])
            return drawn
        case "PReLU":
            return functional.prelu(inputs[0], weights[0])
        case "Swish":
            return functional.silu(inputs[0])
        case "Sigmoid":
            return inputs[0].sigmoid()
        case "Concat":
            return torch.cat([*inputs], dim=1)
        case "PixelShuffle":
            return functional.pixel_shuffle(inputs[0], layer.whole(0, 1))
        case "Interp":
            mode = {1: "nearest", 2: "bilinear"}[layer.whole(0)]
            return functional.interpolate(inputs[0], scale_factor=layer.numbers[1][0], mode=mode)
        case "Eltwise" if layer.whole(0) == SUM:
            factors = layer.numbers.get(1, [1.0] * len(inputs))
            return torch.stack([each * factor for each, factor in zip(inputs, factors, strict=True)]).sum(0)
        case "BinaryOp":
            other = layer.numbers[2][0] if layer.whole(1) else inputs[1]
            operation = (torch.add, torch.sub, torch.mul)[layer.whole(0)]
            return operation(inputs[0], other)
    raise ValueError(f"{layer.kind}: is no layer that is known here")


def main(arguments: Sequence[str] | None = None) -> None:
    """Write `OUTPUTS/GROUP/NAME.png` for every input of the named scales."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peer", description=__doc__)
    parser.add_argument("inputs", type=Path)
    parser.add_argument("outputs", type=Path)
    parser.add_argument("networks", nargs="+", metavar="SCALE=PARAM")
    options = parser.parse_args(arguments)
    for scale, path in (entry.split("=", 1) for entry in options.networks):
        network, found = Network(Path(path)), sorted(options.inputs.rglob(f"x{scale}/**/*.png"))
        with LongTask(f"x{scale}", len(found), "pictures") as task:
            for file in found:
                low = to_tensor(read_image(file))
                size = (round(low.shape[-2] * float(scale)), round(low.shape[-1] * float(scale)))
                target = options.outputs / file.relative_to(options.inputs)
                target.parent.mkdir(parents=True, exist_ok=True)
                write_image(target, to_array(resize(network((low + 1) / 2) * 2 - 1, size)))
                task.advance(1)


if __name__ == "__main__":
    main()
