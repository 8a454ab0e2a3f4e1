"""Published tensors and this project's, side by side: tables of pairs that read both ways."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor, nn

from arbiscale.errors import UserError

Network = TypeVar("Network", bound=nn.Module)

SHOWN_PROBLEMS = 8  # of each kind, in a message


@dataclass(frozen=True)
class Pair:
    """One published tensor and what it is here.

    Attributes:
        published: its name.
        own: its name here; of query, key and value, where the published network has them in one tensor.
        kernel: sides of a published convolution, where a linear layer on the unfolded window stands here.
        heads: attention heads; each has its query, key and value together in the published tensor.
    """

    published: str
    own: tuple[str, ...]
    kernel: tuple[int, ...] = ()
    heads: int = 1

    def published_shape(self, own: Mapping[str, Tensor]) -> tuple[int, ...]:
        """The shape of the published tensor, from this project's."""
        rows, *rest = own[self.own[0]].shape
        if self.kernel:
            rest = [rest[0] // math.prod(self.kernel), *self.kernel]
        return (rows * len(self.own), *rest)

    def to_own(self, published: Tensor) -> dict[str, Tensor]:
        """This project's tensors, by name, from the published one."""
        matrix = published.flatten(1) if self.kernel else published
        parts = matrix.unflatten(0, (self.heads, len(self.own), -1)).unbind(1)  # (heads, rows / heads, ...)
        return {name: part.flatten(0, 1) for name, part in zip(self.own, parts, strict=True)}

    def to_published(self, own: Mapping[str, Tensor]) -> Tensor:
        """The published tensor from this project's."""
        parts = [own[name].unflatten(0, (self.heads, -1)) for name in self.own]
        joined = torch.stack(parts, dim=1).flatten(0, 2)  # (heads * parts * rows / heads, ...)
        return joined.unflatten(1, (-1, *self.kernel)) if self.kernel else joined


def module(published: str, *own: str, kernel: tuple[int, ...] = (), heads: int = 1) -> Iterator[Pair]:
    """The pairs of one published module: its weight and its bias."""
    yield Pair(f"{published}.weight", tuple(f"{name}.weight" for name in own), kernel, heads)
    yield Pair(f"{published}.bias", tuple(f"{name}.bias" for name in own), (), heads)


def modules(
    published: str, own: str, names: Mapping[str, str], kernel: tuple[int, ...] = ()
) -> Iterator[Pair]:
    """The pairs of a block's modules, from a table of their names inside it."""
    for there, here in names.items():
        yield from module(f"{published}.{there}", f"{own}.{here}", kernel=kernel)


def head_modules(published: str, own: str, hidden_layers: int) -> Iterator[Pair]:
    """The pairs of an implicit head, whose published layers alternate with activations."""
    layers = ["first", *(f"hidden.{index}" for index in range(hidden_layers - 1)), "output"]
    for index, layer in enumerate(layers):
        yield from module(f"{published}.{2 * index}", f"{own}.{layer}")


def table_of(network: nn.Module, pairs: Iterable[Pair]) -> list[Pair]:
    """Those of the pairs that this network has: shortcuts and attention do not stand everywhere.

    Raises:
        ValueError: the pairs leave tensors of the network out.
    """
    names = set(network.state_dict())
    table = [pair for pair in pairs if names.issuperset(pair.own)]
    left_out = names.difference(name for pair in table for name in pair.own)
    if left_out:
        raise ValueError(f"the published networks have no {', '.join(sorted(left_out))}")
    return table


@dataclass
class Mismatch:
    """What keeps tensors from being a network's, by published name, with both shapes where there are two."""

    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    misshapen: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.misshapen)

    def __add__(self, other: Mismatch) -> Mismatch:
        return Mismatch(
            self.missing + other.missing,
            self.unexpected + other.unexpected,
            self.misshapen + other.misshapen,
        )

    def __str__(self) -> str:
        """One line."""
        kinds = {"missing": self.missing, "unexpected": self.unexpected, "misshapen": self.misshapen}
        return "; ".join(f"{len(names)} {kind}: {_some(names)}" for kind, names in kinds.items() if names)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN_PROBLEMS} more" if len(names) > SHOWN_PROBLEMS else ""
    return ", ".join(names[:SHOWN_PROBLEMS]) + more


def compare(table: Iterable[Pair], network: nn.Module, published: Mapping[str, Tensor]) -> Mismatch:
    """What of a table's tensors is missing among the published ones or has another shape."""
    mismatch, own = Mismatch(), network.state_dict()
    for pair in table:
        expected = pair.published_shape(own)
        if pair.published not in published:
            mismatch.missing.append(f"{pair.published} {expected}")
        elif tuple(published[pair.published].shape) != expected:
            found = tuple(published[pair.published].shape)
            mismatch.misshapen.append(f"{pair.published} is {found}, not {expected}")
    return mismatch


def to_own(table: Iterable[Pair], published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """This project's tensors (float32, copies) from published ones that fit the table."""
    own = {name: part for pair in table for name, part in pair.to_own(published[pair.published]).items()}
    return {name: tensor.to(torch.float32, copy=True).contiguous() for name, tensor in own.items()}


def to_published(table: Iterable[Pair], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Published tensors from this project's."""
    return {pair.published: pair.to_published(own).contiguous() for pair in table}


def fill(
    network: Network, pairs: Iterable[Pair], published: Mapping[str, Tensor], problem: str, unused: str = ""
) -> Network:
    """Give a network on the meta device its tensors; in evaluation mode.

    Args:
        network: as built.
        pairs: a table that has all of its tensors.
        published: tensors under published names.
        problem: what a message begins with when they do not fit.
        unused: regular expression of names that the network does not need.

    Raises:
        UserError: tensors that are missing, unexpected or of another shape, by name.
    """
    table = table_of(network, pairs)
    mismatch = compare(table, network, published)
    names = set(published).difference(pair.published for pair in table)
    mismatch.unexpected = sorted(name for name in names if not re.fullmatch(unused, name))
    if mismatch:
        raise UserError(f"{problem}: {mismatch}")
    network.load_state_dict(to_own(table, published), assign=True)
    return network.eval()
