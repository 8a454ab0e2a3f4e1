"""Pretrained networks behind metrics and losses: where their files are found, verified, or downloaded."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch

from arbiscale.errors import UnavailableError, UserError
from arbiscale.files import atomic_file, sha256_of
from arbiscale.pretrained.reading import load_state
from arbiscale.workspace import repository_root

Network = TypeVar("Network")

DOWNLOAD_TIMEOUT_SECONDS = 30.0  # without any byte arriving
_PLACES = "in runtime.weights_dir or ARBISCALE_WEIGHTS_DIR"


@dataclass(frozen=True)
class Pretrained:
    """A published network: file names it may have, its address, and the start of its sha256."""

    name: str
    files: tuple[str, ...]  # in order of preference; the last is what the address delivers
    url: str
    sha256_prefix: str


# torchvision's ImageNet networks (the weights IMAGENET1K_V1), whole or only their convolutions.
ALEXNET = Pretrained(
    name="AlexNet",
    files=("alexnet_features.pt", "alexnet-owt-7be5be79.pth"),
    url="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    sha256_prefix="7be5be79",
)
VGG16 = Pretrained(
    name="VGG16",
    files=("vgg16_features.pt", "vgg16-397923af.pth"),
    url="https://download.pytorch.org/models/vgg16-397923af.pth",
    sha256_prefix="397923af",
)

INCEPTION = Pretrained(
    name="Inception",
    files=("inception.pth", "weights-inception-2015-12-05-6726825d.pth"),
    url="https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth",
    sha256_prefix="6726825d",
)
MUSIQ = Pretrained(  # trained on KonIQ-10k
    name="MUSIQ",
    files=("musiq_koniq_ckpt-e95806b9.pth",),
    url="https://huggingface.co/chaofengc/IQA-PyTorch-Weights/resolve/main/musiq_koniq_ckpt-e95806b9.pth",
    sha256_prefix="e95806b9",
)
CLIP = Pretrained(
    name="CLIP",
    files=("RN50.pt",),
    url="https://openaipublic.azureedge.net/clip/models/"
    "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762/RN50.pt",
    sha256_prefix="afeb0e10",
)
NIQE = Pretrained(  # mean and covariance of natural pictures, 11 KB; also in the package basicsr 1.4.2
    name="NIQE",
    files=("niqe_pris_params.npz",),
    url="https://github.com/XPixelGroup/BasicSR/raw/v1.4.2/basicsr/metrics/niqe_pris_params.npz",
    sha256_prefix="2a7c182a",
)


def locate(network: Pretrained, weights_dir: str = "") -> Path | None:
    """The first file of the network in `weights_dir`, $ARBISCALE_WEIGHTS_DIR, ./weights, torch's cache.

    Raises:
        UserError: `weights_dir` or $ARBISCALE_WEIGHTS_DIR names no directory.
    """
    found = (_file_in(folder, network) for folder in _folders(weights_dir))
    return next((path for path in found if path), None)


def obtain(network: Pretrained, weights_dir: str = "", *, named: str = _PLACES) -> Path:
    """A local file of the network, downloaded into torch's cache where none is found.

    Args:
        network: what is wanted.
        weights_dir: where it is looked for first.
        named: how a user names a folder that holds it, for errors.

    Raises:
        UnavailableError: it is not found and cannot be downloaded.
        UserError: a named directory does not exist; a file with the published name has another sha256.
    """
    path = locate(network, weights_dir)
    return verified(path, network) if path else _download(network, named)


def verified(path: Path, network: Pretrained) -> Path:
    """The path, once a file with the published name has been checked; files with other names pass.

    Raises:
        UserError: its sha256 differs.
    """
    if path.name == network.files[-1] and not sha256_of(path).startswith(network.sha256_prefix):
        raise UserError(
            f"{path}: is not {network.name} as published (its sha256 does not begin with "
            f"{network.sha256_prefix}); remove it and fetch it again"
        )
    return path


def load_network(
    network: Pretrained,
    weights_dir: str,
    build: Callable[[dict[str, Any]], Network],
    read: Callable[[Path], dict[str, Any]] = load_state,
) -> Network:
    """Build a network from the tensors that `read` finds in its file for `weights_dir`, else downloaded.

    Raises:
        UnavailableError: the weights are not found and cannot be downloaded.
        UserError: the file is damaged or belongs to another network.
    """
    path = obtain(network, weights_dir)
    state = read(path)
    try:
        return build(state)
    except (KeyError, RuntimeError) as error:  # names missing; other shapes
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: is not {network.name} ({reason}); remove it and fetch it again") from None


def _folders(weights_dir: str) -> Iterator[Path]:
    """Where weights are looked for, first choice first."""
    named = {
        "runtime.weights_dir": weights_dir,
        "ARBISCALE_WEIGHTS_DIR": os.environ.get("ARBISCALE_WEIGHTS_DIR", ""),
    }
    for origin, value in named.items():
        if value:
            folder = repository_root() / Path(value).expanduser()
            if not folder.is_dir():
                raise UserError(f"{origin}: {value} is not a directory; name one that holds network weights")
            yield folder
    yield repository_root() / "weights"
    yield Path(torch.hub.get_dir()) / "checkpoints"


def _download(network: Pretrained, named: str) -> Path:
    """Fetch the network's file into torch's cache and check its sha256."""
    file = network.files[-1]
    target = Path(torch.hub.get_dir()) / "checkpoints" / file
    try:
        with atomic_file(target) as temporary, _timeout(DOWNLOAD_TIMEOUT_SECONDS):
            try:
                torch.hub.download_url_to_file(network.url, str(temporary), network.sha256_prefix)
            except (OSError, RuntimeError) as error:  # no connection; another sha256
                raise UserError(str(getattr(error, "reason", error)).splitlines()[0]) from None
    except UserError as error:  # also a cache that cannot be written
        raise UnavailableError(
            f"{network.name} weights: none found and {network.url} cannot be downloaded ({error}); "
            f"put {' or '.join(network.files)} in a folder and name it {named}"
        ) from None
    return target


@contextmanager
def _timeout(seconds: float) -> Iterator[None]:
    """Give sockets opened inside a time limit: torch.hub's download has no parameter for it."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


NETWORKS = {
    "alexnet": ALEXNET,
    "vgg16": VGG16,
    "inception": INCEPTION,
    "musiq": MUSIQ,
    "clip": CLIP,
    "niqe": NIQE,
}
DEFAULT = ("alexnet",)  # all that the training loss and the default metrics need


def fetch_weights(names: Sequence[str] = DEFAULT, source_dir: Path | None = None) -> Path:
    """Put networks' files into <repository>/weights, from a folder or else found or downloaded.

    Prints each file's sha256. Returns the folder.

    Args:
        names: of NETWORKS.
        source_dir: to copy from instead of downloading.

    Raises:
        UserError: there is no such network; `source_dir` lacks a file, or holds another under its name.
        UnavailableError: a file is not found and cannot be downloaded.
    """
    for name in names:
        if name not in NETWORKS:
            raise UserError(f"weights: there is no network {name!r}; there are: {', '.join(NETWORKS)}")
    destination = repository_root() / "weights"
    for network in (NETWORKS[name] for name in names):
        if source_dir is None:
            found = obtain(network, named="with --from")
        elif (file := _file_in(source_dir, network)) is not None:
            found = verified(file, network)
        else:
            raise UserError(
                f"--from: {source_dir} holds no {network.name} ({' or '.join(network.files)}); "
                "name a folder that does, or leave it out to download"
            )
        target = destination / found.name
        if not (target.exists() and target.samefile(found)):
            with atomic_file(target) as temporary:
                shutil.copyfile(found, temporary)
        print(f"{network.name}: {target} sha256 {sha256_of(target)}")
    return destination


def _file_in(folder: Path, network: Pretrained) -> Path | None:
    return next((folder / file for file in network.files if (folder / file).is_file()), None)
