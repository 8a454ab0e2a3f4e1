"""Section `evaluate`: held-out photographs, scales and the sampler they are drawn with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from arbiscale.config.addresses import NamedPlace, Place
from arbiscale.config.named import Named
from arbiscale.config.sampling import SamplingSettings
from arbiscale.config.section import Section
from arbiscale.config.sizes import HeightByWidth

ProtocolName = Literal["sample", "realistic", "crops", "div2k", "benchmark", "faces", "generation"]
Scale = Annotated[float, Field(ge=1, le=64)]  # output / input
Temperature = Annotated[float, Field(ge=0, le=1)]
Fidelity = Annotated[float, Field(ge=0, le=1)]  # 1 = what a branch draws without latent
PerceptualName = Literal["lpips", "lpips_vgg", "dists"]
NoReferenceName = Literal["niqe", "musiq", "clip_iqa"]
LEAST_PATCH_PX = 16
ROWS = (
    "bicubic",
    "lanczos",
    "autoencoder",
    "diffusion",
    "align_timesteps",
    "align_samples",
    "without_latent",
    "other_latent",
)


class TradeOffSettings(Section):
    """What varies along the curves of LPIPS against PSNR, on the crops of the protocol `sample`."""

    scales: list[Scale]  # none = no curves
    temperatures: list[Temperature]  # of models whose head is a flow
    fidelities: list[Fidelity]  # of models with a branch
    steps: list[Annotated[int, Field(ge=1, le=10_000)]]  # of diffusion models
    etas: list[Annotated[float, Field(ge=0, le=1)]]  # of those that are sampled by ddim

    @model_validator(mode="after")
    def _once(self) -> TradeOffSettings:
        _refuse_repeated(self.model_dump())
        return self


class EvaluateFolders(Section):
    """Folders, or addresses of archives, of protocols' pictures other than the held-out photographs."""

    div2k: Place
    faces: Place
    benchmark: list[NamedPlace]  # data set=place


class EvaluateSettings(Section):
    """What is measured, on what."""

    split: Literal["test", "validation"] = "test"  # what is measured: to report, or to choose by
    crop_px: int = Field(ge=32, le=4096)  # side of the high-resolution crops of these photographs
    crops_per_photograph: int = Field(ge=1, le=1000)
    scales: list[Scale] = Field(min_length=1)
    generation_sizes: list[HeightByWidth] = Field(min_length=1)
    generation_count: int = Field(ge=2, le=100_000)
    diversity_seeds: int = Field(ge=0, le=100)  # draws of each picture; 0 = diversity is not measured
    sampling: SamplingSettings  # also the registered model's default
    temperature: Temperature  # of models whose head is a flow; also the registered model's default
    fidelity: Fidelity  # of models with a branch; also the registered model's default
    protocols: list[ProtocolName] = Field(min_length=1)
    perceptual: list[PerceptualName]  # columns; each needs its network's weights
    no_reference: list[NoReferenceName] = Field(default=[])  # columns that need no truth
    patch_fid_px: int = Field(default=0, ge=0, le=1024)  # side of the patches of FID and KID; 0 = off
    folders: EvaluateFolders
    extra_models: list[Named]  # row=folder, models:/ URI, spandrel:FILE or folder:FOLDER
    trade_off: TradeOffSettings

    @model_validator(mode="after")
    def _fits(self) -> EvaluateSettings:
        chosen: dict[str, Sequence[object]] = {
            "protocols": self.protocols,
            "perceptual": self.perceptual,
            "no_reference": self.no_reference,
            "generation_sizes": self.generation_sizes,
        }
        _refuse_repeated(chosen)
        if 0 < self.patch_fid_px < LEAST_PATCH_PX:
            least = f"0 (off) or at least {LEAST_PATCH_PX}"
            raise ValueError(f"patch_fid_px: must be {least} (got {self.patch_fid_px})")
        if self.protocols == ["sample"] and self.patch_fid_px > self.crop_px:
            raise ValueError(
                f"patch_fid_px: must not exceed crop_px where protocols are [sample] "
                f"({self.patch_fid_px} > {self.crop_px})"
            )
        if self.diversity_seeds == 1:
            raise ValueError("diversity_seeds: must be 0 (off) or at least 2 (got 1)")
        for protocol, folder in self.folders.model_dump().items():
            if protocol in self.protocols and not folder:
                raise ValueError(f"folders.{protocol}: must name pictures, as protocols holds {protocol}")
        for key, entries in {
            "folders.benchmark": self.folders.benchmark,
            "extra_models": self.extra_models,
        }.items():
            names = [entry.partition("=")[0] for entry in entries]
            taken = sorted({name for name in names if names.count(name) > 1} | {*names} & {*ROWS})
            if taken:
                raise ValueError(f"{key}: {', '.join(taken)}: is a name already; choose another")
        return self


def _refuse_repeated(chosen: Mapping[str, Sequence[object]]) -> None:
    for key, values in chosen.items():
        if len(set(values)) < len(values):
            raise ValueError(f"{key}: one is named twice (got {values})")
