"""Rows that other programs draw: networks that `spandrel` recognises, and folders of finished pictures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor

from arbiscale.errors import UserError
from arbiscale.evaluation.pairs import Pairs
from arbiscale.files import content_hash
from arbiscale.imaging.formats import READ_SUFFIXES
from arbiscale.imaging.pixels import to_tensor
from arbiscale.imaging.reading import read_image
from arbiscale.imaging.resize import resize
from arbiscale.inference.loading import load_model
from arbiscale.inference.model import Model
from arbiscale.models.device import choose_device
from arbiscale.tracking.versions import SCHEME
from arbiscale.workspace import PRETRAINED, find_folder, repository_root

SPANDREL, FOLDER = "spandrel:", "folder:"


class Peer(ABC):
    """What draws a protocol's pictures at its scales, and nothing else of them.

    Attributes:
        identity: changes with what it draws.
        timed: whether the time that it takes means anything.
    """

    task = "super_resolution"
    identity: str
    timed: bool

    @abstractmethod
    def draw(self, pairs: Pairs, group: str) -> Tensor:
        """Pictures (batch, 3, height, width) in [-1, 1], of the truth's size.

        Raises:
            UserError: there is none, or one of another size.
        """


class SpandrelModel(Peer):
    """A network of a whole factor; its pictures are resized to other sizes by PIL's bicubic kernel.

    Args:
        path: of its weights.
        device: auto, cpu, cuda, cuda:N or mps.

    Raises:
        UserError: no such file, or no architecture that `spandrel` knows.
    """

    timed = True

    def __init__(self, path: Path, device: str) -> None:
        from spandrel import ImageModelDescriptor, ModelLoader, UnsupportedModelError

        self.identity = content_hash(path)
        self._device = choose_device(device)
        try:
            model = ModelLoader(self._device).load_from_file(path)
        except (UnsupportedModelError, UnpicklingError, ValueError, RuntimeError, KeyError) as error:
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise UserError(f"{SPANDREL}{path}: spandrel does not recognise it ({reason})") from None
        channels = (model.input_channels, model.output_channels)
        if not isinstance(model, ImageModelDescriptor) or channels != (3, 3):
            raise UserError(f"{SPANDREL}{path}: is no model that turns an RGB picture into one; name another")
        self._model = model.eval()

    def draw(self, pairs: Pairs, group: str) -> Tensor:
        """See `Peer.draw`."""
        with torch.no_grad():
            drawn = [self._model((low[None] + 1) / 2) for low in pairs.low]
        return resize(torch.cat(drawn).float() * 2 - 1, pairs.size)


class PictureFolder(Peer):
    """Pictures that another program has made: `GROUP/NAME`, such as `benchmark/set5/x4/baby.png`.

    Raises:
        UserError: there is no such folder.
    """

    timed = False

    def __init__(self, root: Path) -> None:
        self.identity, self._root = content_hash(root), root

    def draw(self, pairs: Pairs, group: str) -> Tensor:
        """See `Peer.draw`."""
        return torch.cat([self._read(group, name, pairs) for name in pairs.names])

    def _read(self, group: str, name: str, pairs: Pairs) -> Tensor:
        stem = self._root / group / name
        found = [path for suffix in READ_SUFFIXES if (path := stem.with_name(stem.name + suffix)).is_file()]
        if len(found) != 1:
            problem = f"{len(found)} pictures of one name" if found else "no such picture"
            raise UserError(f"{FOLDER}{stem}: {problem}; `arbiscale inputs` writes what each is made of")
        image = to_tensor(read_image(found[0])).to(pairs.low.device)
        height, width = image.shape[-2:]
        if (height, width) != pairs.size:
            raise UserError(f"{found[0]}: is {width}x{height} px, not {pairs.size[1]}x{pairs.size[0]}")
        return image


def load_row(where: str | Path, device: str, fidelity: float | None = None) -> Model | Peer:
    """What draws a row: a model (see `load_model`), `spandrel:FILE` or `folder:FOLDER`.

    Args:
        where: of either; relative paths count from the repository, of models first from the workspace.
        device: of a network.
        fidelity: at which a model with a branch draws; None = its own, which may be another than other rows'.

    Raises:
        UserError: it cannot be loaded.
    """
    name = str(where)
    if name.startswith((SPANDREL, FOLDER)):
        if lack := what_a_row_lacks(name):
            raise UserError(f"{where}: {lack}")
        path = _peer_path(name)
        return SpandrelModel(path, device) if name.startswith(SPANDREL) else PictureFolder(path)
    model = load_model(where if _is_no_folder(name) else find_folder(name), device)
    if fidelity is not None and model.has_branch:
        model.fidelity = fidelity
    return model


def what_a_row_lacks(where: str) -> str:
    """Why `load_row` cannot find what it would load; empty where it can. The registry is not asked."""
    if where.startswith(SPANDREL):
        return "" if _peer_path(where).is_file() else "no such file"
    if where.startswith(FOLDER):
        return "" if _peer_path(where).is_dir() else "no such folder"
    found = _is_no_folder(where) or (find_folder(where) / "config.json").is_file()
    return "" if found else "no model there (no config.json)"


def _peer_path(where: str) -> Path:
    return repository_root() / Path(where.partition(":")[2]).expanduser()


def _is_no_folder(where: str) -> bool:
    return where == PRETRAINED or where.startswith(SCHEME)


def identity_of(row: Model | Peer) -> str:
    """A text that changes with what a row draws."""
    if isinstance(row, Peer):
        return row.identity
    return row.origin.sha256 if row.origin else ""
