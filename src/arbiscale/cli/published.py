"""Commands that copy a model: import-checkpoint and export-checkpoint (published code), halve."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arbiscale.cli.project import own_presets, params_path
from arbiscale.cli.requests import check_model_folder, check_place, find_model
from arbiscale.errors import UserError

if TYPE_CHECKING:
    from arbiscale.interop import Imported


def import_checkpoint(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="A .ckpt, .pt, .pth or .safetensors file.")
    ],
    to: Annotated[Path, typer.Option(metavar="DIR", help="The model folder to write.")],
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Of the configuration it was trained with; a LIIF or a LINF needs none."
        ),
    ] = None,
    first_stage: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A model folder whose first stage the file's U-Net belongs to."),
    ] = None,
) -> None:
    """Make a model folder of a checkpoint of arbitrary-scale-diffusion, latent-diffusion, LIIF or LINF.

    Its networks are those of params.yaml with the preset merged in; a LIIF or a LINF describes itself.
    Nothing of the file is executed.
    """
    if preset is None:
        _import_local_implicit(source, to, first_stage)
        return
    from arbiscale.config.preset import find_preset, preview_preset

    params = preview_preset(params_path(), find_preset(preset, own_presets()))
    check_model_folder(to)
    if first_stage is not None:
        find_model(str(first_stage))

    from arbiscale import interop

    found = interop.import_checkpoint(source, params, to, first_stage)
    for line in _report(found, to):
        print(line)


def export_checkpoint(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A model folder.")],
    target: Annotated[
        Path, typer.Argument(metavar="TARGET", help="A .ckpt, .pt, .pth or .safetensors file.")
    ],
) -> None:
    """Write a model folder as a checkpoint that the published code reads."""
    find_model(str(folder))
    check_place(target)

    from arbiscale import interop

    interop.export_checkpoint(folder, target)
    print(target)


def halve(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A model folder.")],
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="The model folder to write.")],
    fidelity: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Of the copy, where none is asked for; 1 = its branch alone draws."),
    ] = None,
) -> None:
    """Copy a model folder with its weights in float16: half the bytes, and the same pictures to the eye."""
    find_model(str(folder))
    check_model_folder(target)

    from arbiscale.models.folder import halve as copy_halved

    copy_halved(folder, target, fidelity)
    print(target)


def _import_local_implicit(source: Path, folder: Path, first_stage: Path | None) -> None:
    if first_stage is not None:
        raise UserError("--first-stage: needs the U-Net's configuration: --preset NAME")
    check_model_folder(folder)

    from arbiscale import interop

    settings, left_out = interop.import_local_implicit(source, folder)
    encoder, head = settings.encoder, settings.head
    name = {"liif": "LIIF", "flow": "LINF"}[head.kind] + (" of 3x3 patches" if head.patch_px == 3 else "")
    size = f"{encoder.blocks} blocks and {encoder.width} channels"
    print(f"{folder}: {name}, {encoder.kind.upper()} encoder of {size}")
    for line in _not_needed(left_out):
        print(line)
    print(f"It draws: --model {folder}")


def _report(found: Imported, folder: Path) -> list[str]:
    """What was imported, and what it is good for."""
    parts = ["first stage" if found.head else "first stage without its implicit head"]
    if found.unet:
        parts.append("U-Net (moving averages)" if found.averages else "U-Net")
        scale = f"{found.latent_scale:.6g}" if found.latent_scale is not None else "1 (the file names none)"
        parts.append(f"latent scale {scale}")
    lines = [f"{folder}: {', '.join(parts)}", *_not_needed(found.left_out)]
    if found.unet and found.head:
        lines.append(f"It draws: --model {folder}")
    elif found.unet:
        lines.append(f"It starts trainings: autoencoder.init_from and diffusion.init_from: {folder}")
    else:
        lines.append(f"It starts a training: autoencoder.init_from: {folder}")
    if found.head and not found.unet:
        lines.append(f"It takes a U-Net: arbiscale import-checkpoint UNET --first-stage {folder}")
    return lines


def _not_needed(left_out: Mapping[str, int]) -> list[str]:
    kinds = (f"{kind} ({count})" for kind, count in left_out.items())
    return [f"not needed, in tensors: {', '.join(kinds)}"] if left_out else []
