"""The published LINF in this project's own network."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from arbiscale.config.local_implicit import LocalImplicitSettings
from arbiscale.config.section import Section, validate
from arbiscale.errors import UserError
from arbiscale.imaging.coordinates import neighbours
from arbiscale.interop.image_encoders import (
    UNUSED,
    EncoderSpec,
    count,
    encoder_pairs,
    encoder_settings,
    encoder_spec,
)
from arbiscale.interop.tensors import Pair, fill, module
from arbiscale.models.local_implicit import LocalImplicit, unfold_rows
from arbiscale.networks.flow_head import FlowHead
from arbiscale.networks.fourier_head import Finish
from arbiscale.networks.local_ensemble import area_weights

_AMPLITUDE, _LAST_MAP = "coef.weight", "imnet.last._weight"
_LAYERS, _FLOW_LAYERS = r"layers\.\d+\.weight", r"imnet\.linears\.\d+\._weight"


class _FlowArguments(Section):
    name: str = "flow"


class _FlowSpec(Section):
    name: Literal["flow"]
    args: _FlowArguments = _FlowArguments()


class LINFSpec(Section):
    """What the published code makes a LINF of; the defaults are its own."""

    encoder_spec: EncoderSpec
    imnet_spec: _FlowSpec
    flow_layers: int = Field(default=10, ge=1)
    num_layer: int = Field(default=3, ge=1)
    hidden_dim: int = Field(default=256, ge=2, multiple_of=2)
    patch_size: Literal[3] | None = None  # None: the flow draws pixels


class PublishedLINF(nn.Module):
    """A LINF asked as the published one is: at any coordinates, each sample with a cell of its own.

    Attributes:
        network: which draws grids, regions and bands of them.
    """

    def __init__(self, network: LocalImplicit) -> None:
        super().__init__()
        self.network = network

    @property
    def _head(self) -> FlowHead:
        assert isinstance(self.network.head, FlowHead)
        return self.network.head

    def features(self, low_resolution: Tensor) -> Tensor:
        """Features, not unfolded, of images (batch, 3, height, width) in [-1, 1]; of the images' size."""
        return self.network.encode(low_resolution)

    def log_likelihood(
        self, low_resolution: Tensor, coordinates: Tensor, cell: Tensor, target: Tensor
    ) -> Tensor:
        """The log-density of each query's value, in nats.

        Args:
            low_resolution: images (batch, 3, height, width) in [-1, 1].
            coordinates: (y, x) of pixels or of patches' centres, shape (batch, rows, columns, 2).
            cell: (y, x), what an output pixel spans of [-1, 1], shape (batch, 2).
            target: of a pixel, the images (batch, 3, rows, columns), whose difference to the bilinear
                low-resolution image is taken here; of a patch, such differences (batch, 27, rows, columns).

        Returns:
            Shape (batch * rows * columns,).
        """
        values = target if self._head.patch_px > 1 else target - _bilinear(low_resolution, coordinates)

        def density(outputs: Tensor, given: Tensor | None) -> Tensor:
            assert given is not None
            return self._head.flow(given, outputs)[1]

        return self._ask(low_resolution, coordinates, cell, values.permute(0, 2, 3, 1).flatten(1, 2), density)

    def decode(
        self,
        low_resolution: Tensor,
        coordinates: Tensor,
        cell: Tensor,
        *,
        temperature: float,
        base_sample: Tensor | None = None,
    ) -> Tensor:
        """Draw pixels, or patches side by side.

        Args:
            low_resolution: images (batch, 3, height, width) in [-1, 1].
            coordinates: see `log_likelihood`.
            cell: see `log_likelihood`.
            temperature: what base samples are multiplied by.
            base_sample: standard normal, shape (batch * rows * columns, 3 or 27); None = drawn here.

        Returns:
            Of pixels, images (batch, 3, rows, columns); of patches, differences to the bilinear
            low-resolution image (batch, 3, 3 * rows, 3 * columns). Not clamped.
        """
        batch, rows, columns, _ = coordinates.shape
        if base_sample is None:
            shape = (batch * rows * columns, self._head.flow.dimensions)
            base_sample = torch.randn(shape, device=low_resolution.device)
        inverted = self._head.flow.invert()

        def draw(outputs: Tensor, given: Tensor | None) -> Tensor:
            assert given is not None
            return self._head.flow.inverse(given, outputs, inverted)

        samples = (temperature * base_sample).unflatten(0, (batch, -1))
        values = self._ask(low_resolution, coordinates, cell, samples, draw)
        drawn = self._head.image(values.view(batch, rows, columns, -1))
        return drawn if self._head.patch_px > 1 else drawn + _bilinear(low_resolution, coordinates)

    def _ask(
        self, low_resolution: Tensor, coordinates: Tensor, cell: Tensor, given: Tensor, finish: Finish
    ) -> Tensor:
        """What the head makes of each query and its row of `given` (batch, queries, n)."""
        features = self.features(low_resolution)
        height, width = features.shape[2:]
        unfolded = unfold_rows(features, 0, height)
        y, x = coordinates.double().cpu().unbind(-1)
        (down, y), (right, x) = neighbours(y, height), neighbours(x, width)  # (2, batch, rows, columns)
        index = down[:, None] * width + right[None]  # (2, 2, batch, rows, columns)
        relative = torch.stack([y[:, None].expand_as(index), x[None].expand_as(index)], -1)
        area = area_weights(y, x)
        found = []
        for sample in range(len(features)):  # the head takes one cell at a time
            queries = (each[:, :, sample].to(features.device) for each in (index, relative, area))
            numbers, offsets, shares = (each.flatten(0, 1).flatten(1, 2) for each in queries)
            spans = (float(cell[sample, 0]) * height, float(cell[sample, 1]) * width)
            one = unfolded[sample : sample + 1]
            asked = (one, numbers, offsets, shares, spans)
            found.append(self._head.at(*asked, given=given[sample], finish=finish))
        return torch.cat(found)


def _bilinear(image: Tensor, coordinates: Tensor) -> Tensor:
    """Images (batch, 3, height, width) at coordinates (batch, rows, columns, 2); borders continue."""
    points = coordinates.to(image).flip(-1)
    return functional.grid_sample(image, points, mode="bilinear", padding_mode="border", align_corners=False)


def load_linf(weights: Mapping[str, Tensor], spec: Mapping[str, Any] | str) -> PublishedLINF:
    """A published LINF, in evaluation mode; of patches that are not blended, and of cells as they are.

    Args:
        weights: the state dict, under the published names (`encoder.head.0.weight`, `coef.weight`, ...).
        spec: the arguments that the published code makes it of, or their JSON text: `encoder_spec`
            (EDSR-baseline or RRDB), `imnet_spec`, `flow_layers`, `num_layer`, `hidden_dim`, `patch_size`.

    Raises:
        UserError: a specification that is not covered, by key; tensors that do not fit it, by name.
    """
    try:
        arguments = json.loads(spec) if isinstance(spec, str) else spec
    except json.JSONDecodeError as error:
        raise UserError(f"spec: is not valid JSON ({error})") from None
    settings = linf_settings(arguments, "spec", blend_patches=False)
    return PublishedLINF(fill_linf(settings, weights, "weights")).eval()


def linf_settings(
    arguments: Mapping[str, Any], source: str, *, blend_patches: bool, largest_scale: float | None = None
) -> LocalImplicitSettings:
    """This project's settings of a published LINF.

    Raises:
        UserError: a specification that is not covered, naming `source` and the key.
    """
    spec = validate(LINFSpec, arguments, source)
    head = {
        "kind": "flow",
        "width": spec.hidden_dim,
        "layers": spec.num_layer,
        "frequencies": spec.hidden_dim // 2,
        "flow_layers": spec.flow_layers,
        "patch_px": spec.patch_size or 1,
        "blend_patches": blend_patches,
    }
    encoder = encoder_settings(spec.encoder_spec, source)
    values = {"encoder": encoder, "head": head, "residual": True, "largest_scale": largest_scale}
    return validate(LocalImplicitSettings, values, source)


def linf_arguments(weights: Mapping[str, Tensor]) -> dict[str, Any] | None:
    """The arguments of the LINF whose tensors these are; None for something else."""
    encoder = encoder_spec(weights)
    if encoder is None or _AMPLITUDE not in weights or _LAST_MAP not in weights:
        return None
    arguments = {
        "encoder_spec": encoder,
        "imnet_spec": {"name": "flow", "args": {"name": "flow"}},
        "flow_layers": count(weights, _FLOW_LAYERS),
        "num_layer": count(weights, _LAYERS) - 1,  # the output's beside
        "hidden_dim": len(weights[_AMPLITUDE]),
    }
    return arguments if len(weights[_LAST_MAP]) == 3 else arguments | {"patch_size": 3}


def fill_linf(settings: LocalImplicitSettings, weights: Mapping[str, Tensor], source: str) -> LocalImplicit:
    """The network of these settings with published tensors, in evaluation mode.

    Raises:
        UserError: tensors that do not fit, or maps of the flow that have no inverse, by name.
    """
    with torch.device("meta"):
        network = LocalImplicit(settings)
    unused, _ = UNUSED[settings.encoder.kind]
    fill(network, linf_pairs(settings), weights, f"{source}: is not a LINF as published", unused)
    for name, tensor in weights.items():
        if name.endswith("._weight") and not torch.linalg.slogdet(tensor.float()).logabsdet.isfinite():
            raise UserError(f"{source}: {name} has no inverse, so that nothing can be drawn")
    return network


def linf_pairs(settings: LocalImplicitSettings) -> Iterator[Pair]:
    """The tensors of a LINF."""
    head = settings.head
    yield from encoder_pairs(settings.encoder)
    yield from module("coef", "head.amplitude", kernel=(3, 3))
    yield from module("freq", "head.frequency", kernel=(3, 3))
    yield Pair("phase.weight", ("head.phase.weight",))
    for index, layer in enumerate([*(f"hidden.{index}" for index in range(head.layers)), "output"]):
        yield from module(f"layers.{2 * index}", f"head.{layer}", kernel=(1, 1))  # activations between
    for index, name in enumerate([*(f"linears.{index}" for index in range(head.flow_layers)), "last"]):
        yield Pair(f"imnet.{name}._weight", (f"head.flow.linears.{index}.weight",))
        yield Pair(f"imnet.{name}.bias", (f"head.flow.linears.{index}.bias",))
