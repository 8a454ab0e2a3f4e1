"""The real colour photographs that the scikit-image and scikit-learn wheels ship: no download."""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import dataclass
from pathlib import Path

from arbiscale.data.manifest import Photograph
from arbiscale.errors import UserError
from arbiscale.files import sha256_of


@dataclass(frozen=True)
class _Shipped:
    """A photograph inside an installed package; licences as the packages' own documentation gives them."""

    file: str
    scene: str
    licence: str
    attribution: str
    unfit_for_test: str | None = None


_SKIMAGE = "skimage/data"
_SKLEARN = "sklearn/datasets/images"
_STEREO = (
    "none stated; shipped by scikit-image",
    "Scharstein et al., High-resolution stereo datasets with subpixel-accurate ground truth, GCPR 2014",
)

_SHIPPED = (
    _Shipped(f"{_SKIMAGE}/astronaut.png", "astronaut", "public domain", "NASA"),
    _Shipped(f"{_SKIMAGE}/chelsea.png", "chelsea", "CC0-1.0", "Stefan van der Walt"),
    _Shipped(f"{_SKIMAGE}/coffee.png", "coffee", "CC0-1.0", "Rachel Michetti"),
    _Shipped(f"{_SKIMAGE}/rocket.jpg", "rocket", "public domain", "SpaceX"),
    _Shipped(f"{_SKIMAGE}/motorcycle_left.png", "motorcycle", *_STEREO),
    _Shipped(f"{_SKIMAGE}/motorcycle_right.png", "motorcycle", *_STEREO),
    _Shipped(
        f"{_SKIMAGE}/retina.jpg",
        "retina",
        "CC0-1.0",
        "Mikael Häggström",
        unfit_for_test="a fundus on black, not an everyday photograph",
    ),
    _Shipped(
        f"{_SKIMAGE}/hubble_deep_field.jpg",
        "hubble",
        "public domain",
        "NASA, ESA",
        unfit_for_test="points of light on black, not an everyday photograph",
    ),
    _Shipped(
        f"{_SKIMAGE}/ihc.png",
        "ihc",
        "no known copyright restrictions",
        "Center for Microscopy and Molecular Imaging",
        unfit_for_test="a stained tissue section, not an everyday photograph",
    ),
    _Shipped(f"{_SKLEARN}/china.jpg", "china", "CC-BY-2.0", "danielbuechele, flickr.com"),
    _Shipped(f"{_SKLEARN}/flower.jpg", "flower", "CC-BY-2.0", "vultilion, flickr.com"),
)


def fetch(folder: Path) -> list[Photograph]:
    """Copy the shipped photographs into `folder`.

    Raises:
        UserError: a package, or a file that its wheel ships, is not installed.
    """
    return [_copy(shipped, folder) for shipped in _SHIPPED]


def _copy(shipped: _Shipped, folder: Path) -> Photograph:
    original = _locate(shipped.file)
    copy = folder / original.name
    shutil.copyfile(original, copy)
    return Photograph(
        name=copy.name,
        sha256=sha256_of(copy),
        origin=shipped.file,
        licence=shipped.licence,
        attribution=shipped.attribution,
        scene=shipped.scene,
        unfit_for_test=shipped.unfit_for_test,
    )


def _locate(file: str) -> Path:
    """The file in the installed packages, which are not imported for it."""
    package, _, below = file.partition("/")
    distribution = {"skimage": "scikit-image", "sklearn": "scikit-learn"}[package]
    spec = importlib.util.find_spec(package)
    for location in (spec.submodule_search_locations or []) if spec else []:
        if (path := Path(location, below)).is_file():
            return path
    raise UserError(f"{file}: not installed; run `pip install --force-reinstall {distribution}`")
