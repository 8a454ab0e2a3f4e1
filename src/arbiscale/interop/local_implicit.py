"""Published files of a LIIF or a LINF as model folders, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from arbiscale.config.local_implicit import LocalImplicitSettings
from arbiscale.errors import UserError
from arbiscale.files import atomic_file
from arbiscale.interop.checkpoint_file import read_described
from arbiscale.interop.configurations import unpublished_local_implicit
from arbiscale.interop.image_encoders import UNUSED, unused_tensors
from arbiscale.interop.liif import fill_liif, liif_arguments, liif_pairs, liif_settings, none_of_these
from arbiscale.interop.linf import fill_linf, linf_arguments, linf_pairs, linf_settings
from arbiscale.interop.tensors import table_of, to_published
from arbiscale.models.folder import (
    LOCAL_IMPLICIT,
    LocalImplicitConfig,
    read_local_implicit_config,
    read_tensors,
    save_local_implicit,
)
from arbiscale.models.local_implicit import LocalImplicit

_LARGEST_SCALE = 4  # that a published LINF is trained for; its evaluation tells it of no larger one


def import_local_implicit(source: Path, folder: Path) -> tuple[LocalImplicitSettings, dict[str, int]]:
    """Write a model folder from a published file of a LIIF or a LINF.

    What the network is made of is read from the file, else from the tensors. Of a LINF, patches are blended,
    and scales beyond 4 are taken as 4.

    Args:
        source: .pth, .pt, .ckpt or .safetensors; nothing of it is executed.
        folder: the model folder to write.

    Returns:
        The network's settings; how many tensors were left out that an export does not write as they were,
        by kind.

    Raises:
        UserError: a file that cannot be read, or holds something else. Nothing is written then.
    """
    weights, said = read_described(source)
    if linf := linf_arguments(weights):
        settings = linf_settings(said or linf, str(source), blend_patches=True, largest_scale=_LARGEST_SCALE)
        network = fill_linf(settings, weights, str(source))
    elif liif := liif_arguments(weights):
        settings = liif_settings(said or liif, str(source))
        network = fill_liif(settings, weights, str(source))
    else:
        raise none_of_these("LIIF or LINF", weights, str(source))
    save_local_implicit(folder, LocalImplicitConfig(network=settings), network)
    written = unused_tensors(settings.encoder)
    lost = sum(
        not torch.equal(weights[name].float(), tensor) for name, tensor in written.items() if name in weights
    )
    return settings, {UNUSED[settings.encoder.kind][1]: lost} if lost else {}


def export_local_implicit(folder: Path, target: Path) -> None:
    """Write a model folder of a LIIF or a LINF as a file that the published code reads.

    A .safetensors holds the tensors only; what the network is made of stands in the others.

    Raises:
        UserError: a damaged folder, or a network that was never published, by key.
    """
    settings = read_local_implicit_config(folder).network
    if keys := unpublished_local_implicit(settings):
        raise UserError(f"{folder}: the published code does not support {'; '.join(keys)}")
    with torch.device("meta"):
        network = LocalImplicit(settings)
    flow = settings.head.kind == "flow"
    table = table_of(network, linf_pairs(settings) if flow else liif_pairs(settings))
    state = to_published(table, read_tensors(network, folder / LOCAL_IMPLICIT))
    state |= unused_tensors(settings.encoder)
    model: dict[str, Any] = {
        "name": "liif" if not flow else "linf" if settings.head.patch_px == 1 else "linf-patch",
        "args": linf_arguments(state) if flow else liif_arguments(state),
        "sd": state,
    }
    with atomic_file(target) as temporary:
        if target.suffix == ".safetensors":
            save_file(state, temporary)
        else:
            torch.save({"model": model}, temporary)
