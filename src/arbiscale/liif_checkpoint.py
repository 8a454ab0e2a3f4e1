"""Model folders that hold a LIIF: config.json, which says so, and liif.safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from arbiscale.checkpoint import CONFIG, load_tensors, save_tensors
from arbiscale.config.liif import LIIF_FORMAT, LIIFNetworkSettings
from arbiscale.config.section import Section, read_yaml, validate
from arbiscale.files import atomic_folder, write_json
from arbiscale.networks.liif import LIIF

WEIGHTS = "liif.safetensors"


class LIIFConfig(Section):
    """What config.json says of a LIIF."""

    format: Literal["arbiscale-liif-1"] = LIIF_FORMAT
    network: LIIFNetworkSettings


def save_liif(folder: Path, liif: LIIF) -> None:
    """Write a model folder."""
    with atomic_folder(folder) as temporary:
        write_json(temporary / CONFIG, LIIFConfig(network=liif.settings).model_dump())
        save_tensors(liif, temporary / WEIGHTS)


def load_liif(folder: Path) -> LIIF:
    """The LIIF of a model folder, in evaluation mode, on the CPU.

    Raises:
        UserError: a damaged configuration, or tensors that do not fit it.
    """
    path = folder / CONFIG
    config = validate(LIIFConfig, read_yaml(path), path)  # JSON is YAML 1.2
    liif = LIIF(config.network)
    load_tensors(liif, folder / WEIGHTS)
    return liif.eval()
