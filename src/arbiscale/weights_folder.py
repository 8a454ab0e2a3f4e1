"""The folder `weights` of a repository: pretrained networks fetched before they are needed."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from arbiscale.errors import UserError
from arbiscale.files import atomic_file
from arbiscale.metrics.inception import INCEPTION
from arbiscale.weights import ALEXNET, VGG16, Pretrained, obtain, sha256_of, verified
from arbiscale.workspace import repository_root

NETWORKS = {"alexnet": ALEXNET, "vgg16": VGG16, "inception": INCEPTION}
DEFAULT = ("alexnet",)  # all that the training loss and the default metrics need


def fetch_weights(names: Sequence[str] = DEFAULT, source_dir: Path | None = None) -> Path:
    """Put networks' files into <repository>/weights, from a folder or else found or downloaded.

    Prints each file's sha256. Returns the folder.

    Args:
        names: of NETWORKS.
        source_dir: to copy from instead of downloading.

    Raises:
        UserError: there is no such network; `source_dir` lacks a file, or holds another under its name.
        UnavailableError: a file is nowhere here and cannot be downloaded.
    """
    for name in names:
        if name not in NETWORKS:
            raise UserError(f"weights: there is no network {name!r}; there are: {', '.join(NETWORKS)}")
    destination = repository_root() / "weights"
    for network in (NETWORKS[name] for name in names):
        found = obtain(network) if source_dir is None else _in_folder(network, source_dir)
        target = destination / found.name
        if not (target.exists() and target.samefile(found)):
            with atomic_file(target) as temporary:
                shutil.copyfile(found, temporary)
        print(f"{network.name}: {target} sha256 {sha256_of(target)}")
    return destination


def _in_folder(network: Pretrained, folder: Path) -> Path:
    """The network's file in a folder."""
    for file in network.files:
        if (folder / file).is_file():
            return verified(folder / file, network)
    raise UserError(f"{folder}: holds no {network.name} ({' or '.join(network.files)})")
