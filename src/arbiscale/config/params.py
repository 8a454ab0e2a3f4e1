"""The whole of params.yaml. Stages load their own sections; the command line checks all of them."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from arbiscale.config.align import AlignSettings
from arbiscale.config.autoencoder import AutoencoderSettings
from arbiscale.config.baselines import BaselinesSettings
from arbiscale.config.data import DataSettings
from arbiscale.config.diffusion import DiffusionSettings
from arbiscale.config.evaluate import EvaluateSettings, by_name
from arbiscale.config.register import RegisterSettings
from arbiscale.config.runtime import RuntimeSettings
from arbiscale.config.section import Section, read_yaml, validate
from arbiscale.errors import UserError
from arbiscale.workspace import find_folder


class Params(Section):
    """Every section, and the rules that span sections."""

    seed: int = Field(ge=0, le=2**31 - 1)
    data: DataSettings
    autoencoder: AutoencoderSettings
    diffusion: DiffusionSettings
    align: AlignSettings
    baselines: BaselinesSettings
    evaluate: EvaluateSettings
    register_: RegisterSettings = Field(alias="register")
    runtime: RuntimeSettings

    @model_validator(mode="after")
    def _fits(self) -> Params:
        crop_px = self.data.augmentation.crop_px
        downsampling = self.autoencoder.network.encoder.downsampling
        coarsest = downsampling * self.diffusion.denoiser.downsampling
        if crop_px % coarsest:
            raise ValueError(
                f"data.augmentation.crop_px must be a multiple of {coarsest} (the encoder's times "
                f"the denoiser's downsampling; got {crop_px})"
            )
        super_resolution = self.diffusion.task == "super_resolution"
        if super_resolution and self.data.factor % downsampling:
            raise ValueError(
                f"data.factor must be a multiple of the encoder's downsampling {downsampling} "
                f"(got {self.data.factor})"
            )
        if self.autoencoder.network.branch.blocks and self.data.factor != downsampling:
            raise ValueError(
                f"autoencoder.network.branch needs a data.factor equal to the encoder's downsampling: "
                f"the picture's pixels are the latent's (got {self.data.factor} and {downsampling})"
            )
        timesteps = self.diffusion.process.timesteps
        chains = {"align.samples": self.align.samples.sampling, "evaluate": self.evaluate.sampling}
        for section, sampling in chains.items():
            if sampling.steps > timesteps:
                raise ValueError(
                    f"{section}.sampling.steps must not exceed diffusion.process.timesteps "
                    f"({sampling.steps} > {timesteps})"
                )
            if self.diffusion.process.kind == "flow" and sampling.sampler != "euler":
                raise ValueError(
                    f"{section}.sampling.sampler must be euler with diffusion.process.kind: flow "
                    f"(got {sampling.sampler})"
                )
        for part, used in (
            ("autoencoder.network.residual", self.autoencoder.network.residual),
            ("autoencoder.network.branch", self.autoencoder.network.branch.blocks > 0),
            ("diffusion.process.kind: flow", self.diffusion.process.kind == "flow"),
        ):
            if used and not super_resolution:
                raise ValueError(
                    f"{part} needs diffusion.task: super_resolution "
                    "(there is no low-resolution image to generation)"
                )
        return self

    @model_validator(mode="after")
    def _baselines_fit(self) -> Params:
        crop_px, rows = self.data.augmentation.crop_px, by_name(self.evaluate.extra_models)
        for name in self.baselines.train:
            settings = getattr(self.baselines, name)
            largest = settings.input_px * settings.scales[1]
            if largest > crop_px:
                raise ValueError(
                    f"baselines.{name}.input_px times the larger of scales must not exceed "
                    f"data.augmentation.crop_px ({settings.input_px} x {settings.scales[1]:g} > {crop_px})"
                )
            if name in rows:
                raise ValueError(
                    f"evaluate.extra_models: {name}: is a name already, as baselines.train lists it"
                )
        return self


def load_params(path: Path) -> Params:
    """Load and validate the whole params file; raises UserError naming every wrong key."""
    return validate(Params, read_yaml(path), path)


def check_params(path: Path) -> Params:
    """The whole params file, whose `init_from` name model folders that exist.

    Raises:
        UserError: naming every wrong key.
    """
    params = load_params(path)
    for section in ("autoencoder", "diffusion"):
        folder = getattr(params, section).init_from
        if folder and not (find_folder(folder) / "config.json").is_file():
            raise UserError(
                f"{path}: {section}.init_from: {folder}: no model there (no config.json); "
                "`arbiscale import-checkpoint` makes one"
            )
    return params
