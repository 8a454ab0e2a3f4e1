"""Section `data`: where photographs come from and how they become crops."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from typing import Annotated, Literal
from unicodedata import normalize

from pydantic import AfterValidator, Field, field_validator, model_validator

from arbiscale.config.addresses import Address, NamedPlace
from arbiscale.config.degradation import RealisticSettings
from arbiscale.config.section import Section
from arbiscale.config.sizes import HeightByWidth, Size, parse_size


class FolderSettings(Section):
    """The user's own photographs: a directory, searched recursively, or an archive."""

    path: str


def _is_s3(url: str) -> str:
    if url and not re.fullmatch(r"s3://[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9](/.*)?", url):
        raise ValueError(f"must look like s3://bucket/prefix (got {url!r})")
    return url


S3Url = Annotated[str, AfterValidator(_is_s3)]  # or empty


class S3Settings(Section):
    """Photographs under a prefix of an S3-compatible store (standard credential chain)."""

    url: S3Url  # s3://bucket/prefix
    endpoint_url: str | None  # None = AWS
    connections: int = Field(ge=1, le=64)

    @field_validator("endpoint_url")
    @classmethod
    def _holds_no_password(cls, address: str | None) -> str | None:
        if "@" in (address or ""):  # it would be recorded; and is not repeated here
            raise ValueError(
                "must hold no user and password; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
                "or AWS_PROFILE"
            )
        return address


PublishedName = Literal[
    "div2k",
    "flickr2k",
    "df2k",
    "ffhq",
    "ffhq_128",
    "lsun_bedroom",
    "lsun_church_outdoor",
    "lsun_tower",
]  # of arbiscale.data.sources.published


class UrlSettings(Section):
    """Pictures and archives (zip, tar) on web servers, each alone or with the sha256 that it must have."""

    addresses: list[Annotated[Address, Field(pattern="^[^#]+(#sha256=[0-9a-f]{64})?$")]]


class HubSettings(Section):
    """A dataset repository of the Hugging Face hub, or of another (HF_ENDPOINT)."""

    repository: str  # owner/name
    revision: str  # branch, tag or commit
    files: str  # pattern of the pictures and archives to take

    @field_validator("repository")
    @classmethod
    def _is_one(cls, name: str) -> str:
        if name and not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
            raise ValueError(f"must look like owner/name (got {name!r})")
        return name


class DownloadSettings(Section):
    """Where fetched files lie, and come from: of urls and of published data sets."""

    folder: str  # in the repository, or anywhere; what lies there is not fetched
    mirrors: list[Address]  # of files, or of folders (ending in /), instead of the published addresses
    connections: int = Field(ge=1, le=64)
    names: str  # file of names, one a line: what is taken of a published training part; empty = all


LEAST_CROP_PX = 16


class CropSettings(Section):
    """High-resolution crops: squares, or of several shapes, each photograph in the one nearest its own."""

    mode: Literal["random", "grid", "centre"]
    size_px: int = Field(ge=LEAST_CROP_PX, le=4096)
    shapes: list[HeightByWidth] = Field(default=[])  # in the place of squares of size_px
    per_photograph: int = Field(ge=1, le=100_000)  # at most; `centre` gives one

    @field_validator("shapes")
    @classmethod
    def _tell_apart(cls, shapes: list[str]) -> list[str]:
        proportions = set()
        for shape, (height, width) in zip(shapes, map(parse_size, shapes), strict=True):
            if min(height, width) < LEAST_CROP_PX:
                raise ValueError(f"no side may be below {LEAST_CROP_PX} px (got {shape})")
            proportions.add(Fraction(height, width))
        if len(proportions) < len(shapes):
            raise ValueError("two have the same proportions: a photograph is as near to one as to the other")
        return shapes

    @property
    def sizes(self) -> list[Size]:
        """(height, width) of every shape."""
        return [*map(parse_size, self.shapes)] or [(self.size_px, self.size_px)]


Scene = Annotated[str, AfterValidator(partial(normalize, "NFC"))]  # a name, however its letters are composed


class SplitSettings(Section):
    """Which scenes are held out. A scene is one photograph, or several views of one thing."""

    test: list[Scene]
    validation: list[Scene]
    test_fraction: float = Field(ge=0, lt=1)  # of the scenes not named, chosen by their name's hash
    validation_fraction: float = Field(ge=0, lt=1)
    scene_pattern: str  # regular expression; the first group of its match in a file's stem is the scene
    near_duplicate_bits: int = Field(ge=0, le=8)  # of 64; fewer differ: one split for both. 0 = off
    benchmarks: list[NamedPlace]  # data set=place of pictures that nothing is trained on

    @field_validator("scene_pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            raise ValueError(f"is not a regular expression ({error})") from None
        if groups < 1:
            raise ValueError("must have a group, e.g. ^(.*)$")
        return pattern

    @model_validator(mode="after")
    def _disjoint(self) -> SplitSettings:
        both = sorted(set(self.test) & set(self.validation))
        if both:
            raise ValueError(f"scenes in both test and validation: {', '.join(both)}")
        if self.test_fraction + self.validation_fraction >= 1:
            raise ValueError("test_fraction + validation_fraction must be below 1")
        return self


class AugmentationSettings(Section):
    """Random changes to a training crop, drawn for every (seed, sample index)."""

    crop_px: int = Field(ge=8, le=4096)  # what training sees, cut from a stored crop
    zoom_out: float = Field(ge=1, le=8)  # shrink by up to this factor before cutting; 1 = off
    horizontal_flip: float = Field(ge=0, le=1)  # probabilities
    vertical_flip: float = Field(ge=0, le=1)
    transpose: float = Field(ge=0, le=1)


StoreName = Literal["auto", "pixels", "photographs"]  # of arbiscale.data.stores


class DataSettings(Section):
    """Photographs, their crops and their split."""

    source: Literal["bundled", "folder", "s3", "urls", "hub", PublishedName]
    folder: FolderSettings
    s3: S3Settings
    urls: UrlSettings
    hub: HubSettings
    downloads: DownloadSettings
    store: StoreName = "auto"  # how crops are kept; changes none of them
    shards: S3Url = ""  # where photographs are put and read from while training; empty = data/crops
    crop: CropSettings
    split: SplitSettings
    augmentation: AugmentationSettings
    factor: int = Field(ge=1, le=64)  # HR crop / LR crop: the fixed training factor
    degradation: Literal["bicubic", "realistic"] = "bicubic"  # of low-resolution pictures in trainings
    realistic: RealisticSettings = RealisticSettings()  # its strengths, also of the protocol `realistic`

    @model_validator(mode="after")
    def _sizes(self) -> DataSettings:
        if self.shards and self.store != "photographs":
            raise ValueError(f"shards needs store: photographs (got {self.store})")
        if self.augmentation.crop_px * self.augmentation.zoom_out > self.crop.size_px:
            raise ValueError(
                "augmentation.crop_px times augmentation.zoom_out must not exceed crop.size_px "
                f"(got {self.augmentation.crop_px} x {self.augmentation.zoom_out} > {self.crop.size_px})"
            )
        if self.augmentation.crop_px % self.factor:
            raise ValueError("augmentation.crop_px must be a multiple of factor")
        if problems := [*self._misshapen()]:
            raise ValueError(f"crop.shapes: {'; '.join(problems)}")
        if self.source == "folder" and not self.folder.path:
            raise ValueError("folder.path must name a directory when source is folder")
        if self.source == "s3" and not self.s3.url:
            raise ValueError("s3.url must be given when source is s3")
        if self.source == "urls" and not self.urls.addresses:
            raise ValueError("urls.addresses must name a file when source is urls")
        if self.source == "hub" and not self.hub.repository:
            raise ValueError("hub.repository must be given when source is hub")
        return self

    @property
    def sample_sizes(self) -> list[Size]:
        """(height, width) of training samples: those of crops times augmentation.crop_px / crop.size_px."""
        return [scaled_size(size, self.augmentation.crop_px, self.crop.size_px) for size in self.crop.sizes]

    def _misshapen(self) -> Iterator[str]:
        """What keeps training from crops of these shapes."""
        part = Fraction(self.augmentation.crop_px, self.crop.size_px)
        for height, width in self.crop.sizes:
            if any((side * part) % self.factor for side in (height, width)):
                yield (
                    f"{height}x{width}: times {part} (augmentation.crop_px / crop.size_px), which training "
                    f"sees, sides must be multiples of factor ({self.factor})"
                )
            if height != width and self.augmentation.transpose:
                yield (
                    f"{height}x{width}: set augmentation.transpose to 0, which would give samples of "
                    "other shapes"
                )


def scaled_size(size: Size, wanted_px: int, size_px: int) -> Size:
    """A size (height, width), scaled as squares are whose sides become `wanted_px` instead of `size_px`."""
    return (size[0] * wanted_px // size_px, size[1] * wanted_px // size_px)
