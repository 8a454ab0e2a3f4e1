"""The published LIIF in this project's own network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from arbiscale.config.local_implicit import LocalImplicitSettings
from arbiscale.config.section import Section, validate
from arbiscale.errors import UserError
from arbiscale.interop.image_encoders import (
    UNUSED,
    EncoderSpec,
    count,
    encoder_pairs,
    encoder_settings,
    encoder_spec,
)
from arbiscale.interop.tensors import Pair, fill, head_modules
from arbiscale.models.local_implicit import LocalImplicit

_HEAD, _LAYERS = "imnet.layers.0.weight", r"imnet\.layers\.\d+\.weight"


class _MLPArguments(Section):
    out_dim: Literal[3]
    hidden_list: list[Annotated[int, Field(ge=1)]] = Field(min_length=1)


class _MLPSpec(Section):
    name: Literal["mlp"]
    args: _MLPArguments


class LIIFSpec(Section):
    """What the published code makes a LIIF of; the defaults are its own."""

    encoder_spec: EncoderSpec
    imnet_spec: _MLPSpec
    local_ensemble: Literal[True] = True
    feat_unfold: Literal[True] = True
    cell_decode: Literal[True] = True


def load_liif(weights: Mapping[str, Tensor], source: str = "weights") -> LocalImplicit:
    """The published LIIF, in evaluation mode; how wide and deep it is, its tensors say themselves.

    Args:
        weights: the state dict, under the published names (`encoder.head.0.weight`, ...), of an EDSR-baseline
            encoder and a head with feature unfolding, cell decoding and a local ensemble.
        source: their origin, named in messages.

    Raises:
        UserError: tensors of something else, or that do not fit together, by name.
    """
    arguments = liif_arguments(weights)
    if arguments is None:
        raise none_of_these("LIIF", weights, source)
    return fill_liif(liif_settings(arguments, source), weights, source)


def liif_arguments(weights: Mapping[str, Tensor]) -> dict[str, Any] | None:
    """The arguments of the LIIF whose tensors these are; None for something else."""
    encoder = encoder_spec(weights)
    if encoder is None or _HEAD not in weights:
        return None
    hidden = [len(weights[_HEAD])] * (count(weights, _LAYERS) - 1)  # the output's beside
    mlp = {"name": "mlp", "args": {"out_dim": 3, "hidden_list": hidden}}
    return {"encoder_spec": encoder, "imnet_spec": mlp}


def liif_settings(arguments: Mapping[str, Any], source: str) -> LocalImplicitSettings:
    """This project's settings of a published LIIF.

    Raises:
        UserError: arguments that are not covered, naming `source` and the key.
    """
    spec = validate(LIIFSpec, arguments, source)
    hidden = spec.imnet_spec.args.hidden_list
    if len(set(hidden)) != 1:
        raise UserError(f"{source}: imnet_spec.args.hidden_list: must be of one width (got {hidden!r})")
    values = {
        "encoder": encoder_settings(spec.encoder_spec, source),
        "head": {"width": hidden[0], "layers": len(hidden)},
        "residual": False,
    }
    return validate(LocalImplicitSettings, values, source)


def fill_liif(settings: LocalImplicitSettings, weights: Mapping[str, Tensor], source: str) -> LocalImplicit:
    """The network of these settings with published tensors, in evaluation mode.

    Raises:
        UserError: tensors that do not fit, by name.
    """
    with torch.device("meta"):
        network = LocalImplicit(settings)
    unused, _ = UNUSED[settings.encoder.kind]
    return fill(network, liif_pairs(settings), weights, f"{source}: is not a LIIF as published", unused)


def liif_pairs(settings: LocalImplicitSettings) -> Iterator[Pair]:
    """The tensors of a LIIF."""
    yield from encoder_pairs(settings.encoder)
    yield from head_modules("imnet.layers", "head", settings.head.layers)


def none_of_these(names: str, weights: Mapping[str, Tensor], source: str) -> UserError:
    """What to raise about tensors of something else."""
    some = ", ".join(list(weights)[:3])
    return UserError(
        f"{source}: holds no {names} with an EDSR or RRDB encoder under published names, but {some}, ...; "
        "other checkpoints need their configuration: --preset NAME"
    )
