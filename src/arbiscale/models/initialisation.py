"""Starting a training from a model folder: `autoencoder.init_from`, `diffusion.init_from`."""

from __future__ import annotations

from collections.abc import Set

from torch import nn

from arbiscale.config.section import Section, flatten, look_up, read_yaml, validate
from arbiscale.errors import UserError
from arbiscale.models.folder import CONFIG, read_tensors
from arbiscale.workspace import find_folder

# Settings that may differ where the folder lacks the part of the network that they describe.
_PARTS = {
    "residual": "decoder.head.",
    "head.": "decoder.head.",
    "branch.blocks": "decoder.branch.blocks.",
    "transformer_layers": "network.mid_block.transformer.",
}


def start_from(
    init_from: str,
    network: nn.Module,
    settings: Section,
    *,
    section: str,
    file: str,
    missing_allowed: Set[str] = frozenset(),
) -> None:
    """Give a network the weights of a model folder, and report it; an empty `init_from` leaves it as it is.

    Args:
        init_from: the folder, as params.yaml names it.
        network: as initialised; parts that the folder lacks are left as they are.
        settings: the network's.
        section: the key of such settings in the folder's configuration.
        file: the name of the weights' file in the folder.
        missing_allowed: tensors that the folder may lack.

    Raises:
        UserError: no model is there, or its network differs, by key or by tensor.
    """
    if not init_from:
        return
    folder = find_folder(init_from)
    config = folder / CONFIG
    if not config.is_file():
        raise UserError(f"init_from: {init_from}: no model there (no {CONFIG})")
    found = validate(type(settings), look_up(read_yaml(config), section, config), config, prefix=section)
    theirs, ours = flatten(found.model_dump()), flatten(settings.model_dump())
    other = {key: f"{theirs[key]!r} there, {ours[key]!r} here" for key in ours if theirs[key] != ours[key]}
    parts = {_part(key) for key in other}
    if "" not in parts:
        tensors = read_tensors(network, folder / file, missing_allowed=missing_allowed)
        absent = missing_allowed - tensors.keys()
    if "" in parts or not all(any(name.startswith(part) for name in absent) for part in parts):
        keys = "; ".join(f"{section}.{key}: {values}" for key, values in other.items())
        raise UserError(f"init_from: {init_from}: holds another network: {keys}")
    network.load_state_dict(tensors, strict=False)
    rest = f", except {len(absent)} tensors that it does not have" if absent else ""
    print(f"{section}: starts from {init_from}{rest}", flush=True)


def _part(key: str) -> str:
    """Where tensors of the part that a setting describes begin; empty = the setting concerns all."""
    return next((part for prefix, part in _PARTS.items() if key.startswith(prefix)), "")
