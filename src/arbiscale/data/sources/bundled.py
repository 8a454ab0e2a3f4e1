"""The real colour photographs that the scikit-image and scikit-learn wheels ship: no download."""

from __future__ import annotations

import importlib.util
from importlib.metadata import version
from pathlib import Path

from arbiscale.data.sources.source import CORES, Entry, Listing, Source
from arbiscale.errors import UserError

_SKIMAGE = "skimage/data"
_SKLEARN = "sklearn/datasets/images"
_DISTRIBUTIONS = {"skimage": "scikit-image", "sklearn": "scikit-learn"}
_STEREO = (
    "none stated; shipped by scikit-image",
    "Scharstein et al., High-resolution stereo datasets with subpixel-accurate ground truth, GCPR 2014",
)

_TISSUE = ("no known copyright restrictions", "Center for Microscopy and Molecular Imaging")

# file, scene, licence as the packages' own documentation gives it, attribution
_SHIPPED = (
    (f"{_SKIMAGE}/astronaut.png", "astronaut", "public domain", "NASA"),
    (f"{_SKIMAGE}/chelsea.png", "chelsea", "CC0-1.0", "Stefan van der Walt"),
    (f"{_SKIMAGE}/coffee.png", "coffee", "CC0-1.0", "Rachel Michetti"),
    (f"{_SKIMAGE}/rocket.jpg", "rocket", "public domain", "SpaceX"),
    (f"{_SKIMAGE}/motorcycle_left.png", "motorcycle", *_STEREO),
    (f"{_SKIMAGE}/motorcycle_right.png", "motorcycle", *_STEREO),
    (f"{_SKIMAGE}/retina.jpg", "retina", "CC0-1.0", "Mikael Häggström"),
    (f"{_SKIMAGE}/hubble_deep_field.jpg", "hubble", "public domain", "NASA, ESA"),
    (f"{_SKIMAGE}/ihc.png", "ihc", *_TISSUE),
    (f"{_SKLEARN}/china.jpg", "china", "CC-BY-2.0", "danielbuechele, flickr.com"),
    (f"{_SKLEARN}/flower.jpg", "flower", "CC-BY-2.0", "vultilion, flickr.com"),
)
_UNFIT_FOR_TEST = {  # by scene
    "retina": "a fundus on black, not an everyday photograph",
    "hubble": "points of light on black, not an everyday photograph",
    "ihc": "a stained tissue section, not an everyday photograph",
}


class Bundled(Source):
    """The shipped photographs, where the wheels put them."""

    key = "bundled"
    parallel = CORES

    def list(self) -> Listing:
        """All of them, stamped with their packages' versions.

        Raises:
            UserError: a package, or a file that its wheel ships, is not installed.
        """
        return Listing(sorted(map(_entry, _SHIPPED), key=lambda entry: entry.name))

    def read(self, name: str) -> bytes:
        """The file of one."""
        return _locate(next(file for file, *_ in _SHIPPED if Path(file).name == name)).read_bytes()


def _entry(shipped: tuple[str, str, str, str]) -> Entry:
    file, scene, licence, attribution = shipped
    path = _locate(file)
    stamp = version(_DISTRIBUTIONS[file.partition("/")[0]])
    unfit = _UNFIT_FOR_TEST.get(scene)
    return Entry(path.name, path.stat().st_size, stamp, file, licence, attribution, scene, unfit)


def _locate(file: str) -> Path:
    """The file in the installed packages, found without importing them."""
    package, _, below = file.partition("/")
    spec = importlib.util.find_spec(package)
    for location in (spec.submodule_search_locations or []) if spec else []:
        if (path := Path(location, below)).is_file():
            return path
    raise UserError(f"{file}: not installed; run `pip install --force-reinstall {_DISTRIBUTIONS[package]}`")
