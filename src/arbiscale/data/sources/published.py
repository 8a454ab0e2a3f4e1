"""Published data sets: of which files they consist, where these lie, and under which terms."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from arbiscale.config.data import DownloadSettings, PublishedName
from arbiscale.data.downloads import alone, fetch, missing
from arbiscale.data.sources.archives import ARCHIVE_SUFFIXES, Archive, open_archive, stem_of, unpack
from arbiscale.data.sources.lsun import Database
from arbiscale.data.sources.pieces import Folder, Piece, Pieces
from arbiscale.data.sources.urls import described, downloads_folder
from arbiscale.data.transfer import RemoteFile
from arbiscale.errors import UserError
from arbiscale.files import sha256_of_json
from arbiscale.workspace import repository_root


@dataclass(frozen=True)
class Terms:
    """Under which a data set is given, and whom to name."""

    licence: str
    attribution: str
    page: str


@dataclass(frozen=True)
class Part:
    """An archive of a data set.

    Attributes:
        file: its published name.
        folder: that holds the pictures, in the archive and where it is unpacked.
        url: None = the publisher gives no address that a program can fetch.
        size: in bytes; None, as with sha256: not published.
        split: None = for training.
        take: so many of its pictures, spread evenly over their names; None = all.
        database: it holds an LMDB, which is unpacked, as it is read through the file system.
    """

    file: str
    folder: str
    terms: Terms
    url: str | None = None
    size: int | None = None
    sha256: str | None = None
    split: Literal["test"] | None = None
    take: int | None = None
    database: bool = False


_DIV2K = Terms(
    "academic research only; the owners keep their copyright",
    "DIV2K: Agustsson and Timofte, NTIRE 2017 Challenge on Single Image Super-Resolution",
    "https://data.vision.ee.ethz.ch/cvl/DIV2K/",
)
_FLICKR2K = Terms(
    "none stated; photographs of Flickr",
    "Flickr2K: Lim et al., Enhanced Deep Residual Networks for Single Image Super-Resolution, 2017",
    "https://github.com/limbee/NTIRE2017",
)
_FFHQ = Terms(
    "CC-BY-NC-SA-4.0; each photograph as its author has licensed it (CC-BY, CC-BY-NC, CC0, public domain)",
    "FFHQ: Karras, Laine and Aila, A Style-Based Generator Architecture for GANs, 2019",
    "https://github.com/NVlabs/ffhq-dataset",
)
_CELEBA_HQ = Terms(
    "non-commercial research and education only",
    "CelebA-HQ: Karras et al., Progressive Growing of GANs, 2018; as in CelebAMask-HQ: Lee et al., 2020",
    "https://github.com/switchablenorms/CelebAMask-HQ",
)
_LSUN = Terms(
    "none stated; for research",
    "LSUN: Yu et al., LSUN: Construction of a Large-scale Image Dataset, 2015",
    "https://www.yf.io/p/lsun",
)


def _div2k(name: str, size: int, sha256: str, split: Literal["test"] | None) -> Part:
    url = f"https://data.vision.ee.ethz.ch/cvl/DIV2K/{name}.zip"
    return Part(f"{name}.zip", name, _DIV2K, url, size, sha256, split)


def _lsun(name: str, size: int, sha256: str, split: Literal["test"] | None) -> Part:
    url = f"http://dl.yf.io/lsun/scenes/{name}.zip"
    return Part(f"{name}.zip", name, _LSUN, url, size, sha256, split, database=True)


_DIV2K_PARTS = (
    _div2k(
        "DIV2K_train_HR",
        3_530_603_713,
        "9d0b9c463f6e35b6c62cc6a930ee2224f670b34c1df841a57670f9acf0f6c335",
        None,
    ),
    _div2k(
        "DIV2K_valid_HR",
        448_993_893,
        "20dd31fd84d777bc1cf5d6b7654a3f569c0aec74458ae094122ad1d0489900fc",
        "test",
    ),
)
_FLICKR2K_PARTS = (
    Part("Flickr2K.tar", "Flickr2K_HR", _FLICKR2K, "https://cv.snu.ac.kr/research/EDSR/Flickr2K.tar"),
)
_CELEBA_HQ_PART = Part("CelebAMask-HQ.zip", "CelebA-HQ-img", _CELEBA_HQ, split="test", take=100)

PUBLISHED: dict[PublishedName, tuple[Part, ...]] = {
    "div2k": _DIV2K_PARTS,
    "flickr2k": _FLICKR2K_PARTS,
    "df2k": (*_DIV2K_PARTS, *_FLICKR2K_PARTS),
    "ffhq": (Part("images1024x1024.zip", "images1024x1024", _FFHQ), _CELEBA_HQ_PART),
    "ffhq_128": (Part("thumbnails128x128.zip", "thumbnails128x128", _FFHQ), _CELEBA_HQ_PART),
    "lsun_bedroom": (
        _lsun(
            "bedroom_train_lmdb",
            45_922_737_680,
            "a15644c2e7153106867f0adb3491fc41224102d1f01b24494fb47d9f5d1f174e",
            None,
        ),
        _lsun(
            "bedroom_val_lmdb",
            4_670_661,
            "5d022e781b241c25ec2e1f1f769afcdb8091d7fd58362667aec03137b8114b12",
            "test",
        ),
    ),
    "lsun_church_outdoor": (
        _lsun(
            "church_outdoor_train_lmdb",
            2_448_463_466,
            "91128ae026840ac0c5982b4445ab5fc4e092d6847cca76793b2b1a0815c2e74a",
            None,
        ),
        _lsun(
            "church_outdoor_val_lmdb",
            5_957_308,
            "34635b7547a3e51a15f942a4a4082dd6bc9cca381a953515cb2275c0eed50584",
            "test",
        ),
    ),
    "lsun_tower": (
        _lsun(
            "tower_train_lmdb",
            12_010_237_081,
            "440caec74c9641cb51fd235a5970c8e4931c3af875aeb044a8bcca956e106309",
            None,
        ),
        _lsun(
            "tower_val_lmdb",
            5_223_709,
            "7f5257847bc01f4e40d4a1b3e24dd8fcd37063f12ca8cf31e726c2ee0b1ae104",
            "test",
        ),
    ),
}


class Published(Pieces):
    """A data set of the table: unpacked folders or archives of `data.downloads.folder`, else fetched."""

    def __init__(self, name: PublishedName, settings: DownloadSettings) -> None:
        super().__init__()
        self._name, self._settings = name, settings
        self._folder = downloads_folder(settings)
        self._parts = [replace(each, url=_address(each, settings.mirrors)) for each in PUBLISHED[name]]
        self.key = f"{name} {self._folder.resolve()}"

    def pending(self) -> str:
        """The archives that are neither here nor unpacked."""
        return described(missing(self._to_fetch(), self._folder))

    def state(self) -> dict[str, str | int]:
        """Of every part its checksum, or what lies unpacked."""
        states = [self._part_state(each) for each in self._parts]
        return {"sha256": sha256_of_json([states, sorted(self._names or ())])}

    def _part_state(self, part: Part) -> object:
        unpacked = None if part.database else self._unpacked(part)
        if unpacked is None:
            return [part.file, part.sha256]
        return [[each.name, each.size, each.stamp] for each in Folder(unpacked).members()]

    def bring(self) -> Sequence[Piece]:
        """Every part, where it is; of several processes one fetches and unpacks."""
        waiting = missing(self._to_fetch(), self._folder) or self._packed()
        with alone(self._folder, ".bringing") if waiting else nullcontext():
            fetch(self._to_fetch(), self._folder, self._settings.connections)
            for part in self._packed():
                archive = self._archive(part)
                unpack(archive, f"{part.folder}/data.mdb", self._folder / part.folder / "data.mdb")
                archive.unlink()  # as large again, and verified
        return [self._piece(each) for each in self._parts]

    def _to_fetch(self) -> list[RemoteFile]:
        files = []
        for part in self._parts:
            if self._unpacked(part) or self._archive(part).name != part.file:
                continue
            if part.url is None and not self._archive(part).is_file():
                raise UserError(
                    f"data.source: {self._name}: {self._folder} holds no {part.folder}, no {part.file}; "
                    f"get it from {part.terms.page} or name an address in data.downloads.mirrors"
                )
            unpacked_bytes = (part.size or 0) if part.database else 0  # about as large: it holds photographs
            file = RemoteFile(
                part.file, part.url or "", part.size, part.sha256, unpacked_bytes=unpacked_bytes
            )
            files.append(file)
        return files

    def _packed(self) -> list[Part]:
        """Databases that are to be unpacked."""
        return [part for part in self._parts if part.database and not self._unpacked(part)]

    def _unpacked(self, part: Part) -> Path | None:
        """The folder of the pictures, in the folder of downloads or one level below."""
        places = [self._folder / part.folder, *sorted(self._folder.glob(f"*/{part.folder}"))]
        found = [place for place in places if place.is_dir()]
        return next((place for place in found if not part.database or (place / "data.mdb").is_file()), None)

    def _archive(self, part: Part) -> Path:
        """The archive as it is published, or one of another kind that somebody made."""
        kinds = [part.file, *(stem_of(part.file) + suffix for suffix in ARCHIVE_SUFFIXES)]
        return self._folder / next((each for each in kinds if (self._folder / each).is_file()), part.file)

    def _piece(self, part: Part) -> Piece:
        return Piece(
            self._content(part),
            part.url or part.terms.page,
            self._unpacked(part) or self._archive(part),
            "" if part.database else self._prefix(part),
            "" if part.database or self._unpacked(part) else part.folder,
            None if part.split else self._names,
            part.take,
            part.terms.licence,
            part.terms.attribution,
            part.split,
        )

    def _prefix(self, part: Part) -> str:
        return f"{part.folder}/" if self._unpacked(part) else ""

    def _content(self, part: Part) -> Archive:
        unpacked = self._unpacked(part)
        if unpacked is None:
            return open_archive(self._archive(part))
        return Database(unpacked) if part.database else Folder(unpacked)

    @cached_property
    def _names(self) -> frozenset[str] | None:
        """The stems of the training pictures that are taken; None = all."""
        file = self._settings.names
        if not file:
            return None
        try:
            lines = (repository_root() / Path(file).expanduser()).read_text(encoding="utf-8").split()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"data.downloads.names: {file}: cannot be read ({error})") from None
        return frozenset(Path(line).stem for line in lines)


def _address(part: Part, mirrors: Sequence[str]) -> str | None:
    """The first mirror that has a part, else its published address."""
    for mirror in mirrors:
        if mirror.endswith("/"):
            return f"{mirror}{part.file}"
        if mirror.partition("?")[0].endswith(f"/{part.file}"):
            return mirror
    return part.url
