"""The whole of params.yaml. Stages load their own sections; the command line checks all of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

from pydantic import Field, model_validator

from arbiscale.config.align import AlignSettings
from arbiscale.config.autoencoder import AutoencoderSettings
from arbiscale.config.baselines import ALEXNET_PX, BaselinesSettings
from arbiscale.config.data import DataSettings
from arbiscale.config.diffusion import DiffusionSettings
from arbiscale.config.evaluate import EvaluateSettings, ProtocolName
from arbiscale.config.named import by_name
from arbiscale.config.register import RegisterSettings
from arbiscale.config.runtime import RuntimeSettings
from arbiscale.config.section import Section, read_yaml, validate
from arbiscale.config.training import TrainingSettings
from arbiscale.errors import UserError
from arbiscale.workspace import find_folder


class Params(Section):
    """Every section; the rules that span sections are `RULES`."""

    seed: int = Field(ge=0, le=2**31 - 1)
    data: DataSettings
    autoencoder: AutoencoderSettings
    diffusion: DiffusionSettings
    align: AlignSettings
    baselines: BaselinesSettings
    evaluate: EvaluateSettings
    register_: RegisterSettings = Field(alias="register")
    runtime: RuntimeSettings

    @property
    def trainings(self) -> dict[str, TrainingSettings]:
        """Those that are executed, by their key."""
        baselines = {f"baselines.{name}": getattr(self.baselines, name) for name in self.baselines.train}
        return {
            "autoencoder.training": self.autoencoder.training,
            "diffusion.training": self.diffusion.training,
            "align.timesteps": self.align.timesteps,
            "align.samples.training": self.align.samples.training,
            **{f"{key}.training": settings.training for key, settings in baselines.items()},
        }

    @model_validator(mode="after")
    def _fits(self) -> Params:
        problems = [problem for rule in RULES for problem in rule(self)]
        if problems:
            raise ValueError("; ".join(problems))
        return self


def _samples(params: Params) -> str:
    """What decides how large training samples are, for messages."""
    if params.data.crop.shapes:
        return "what training sees of data.crop.shapes (times augmentation.crop_px / crop.size_px)"
    return "data.augmentation.crop_px"


def _shortest_px(params: Params) -> int:
    """The shortest side of a training sample."""
    return min(min(size) for size in params.data.sample_sizes)


def _crops_fit_the_networks(params: Params) -> Iterator[str]:
    factor, network = params.data.factor, params.autoencoder.network
    downsampling = network.encoder.downsampling
    coarsest = downsampling * params.diffusion.denoiser.downsampling
    for side in dict.fromkeys(itertools.chain(*params.data.sample_sizes)):
        if side % coarsest:
            yield (
                f"{_samples(params)} must be a multiple of {coarsest} (the encoder's times "
                f"the denoiser's downsampling; got {side})"
            )
    if params.diffusion.task == "super_resolution" and factor % downsampling:
        yield f"data.factor must be a multiple of the encoder's downsampling {downsampling} (got {factor})"
    if network.branch.blocks and factor != downsampling:
        yield (
            f"autoencoder.network.branch needs a data.factor equal to the encoder's downsampling: "
            f"the picture's pixels are the latent's (got {factor} and {downsampling})"
        )


def _targets_fit_the_crops(params: Params) -> Iterator[str]:
    """Beyond its crop a target would be enlarged by bicubic: the decoder would learn blur."""
    shortest_px, largest = _shortest_px(params), params.autoencoder.target_px[1]
    if largest > shortest_px:
        yield (
            f"autoencoder.target_px must not exceed {_samples(params)} ({largest} > {shortest_px}): "
            "larger targets would be blurred enlargements"
        )
    for name in params.baselines.train:
        settings = getattr(params.baselines, name)
        if settings.input_px * settings.scales[1] > shortest_px:
            yield (
                f"baselines.{name}.input_px times the larger of scales must not exceed "
                f"{_samples(params)} ({settings.input_px} x {settings.scales[1]:g} > {shortest_px})"
            )


def _lpips_sees_enough(params: Params) -> Iterator[str]:
    target_px, patch_px = params.autoencoder.target_px[0], params.autoencoder.network.head.patch_px
    for key, settings, size, px in (
        ("autoencoder", params.autoencoder, "the least of target_px", target_px),
        ("align", params.align, _samples(params), _shortest_px(params)),
    ):
        smallest = min(settings.decode_px, px) // patch_px * patch_px  # whole patches are drawn
        if settings.lpips_weight and smallest < ALEXNET_PX:
            yield (
                f"{key}.lpips_weight needs {key}.decode_px and {size} of at least {ALEXNET_PX}, the smallest "
                f"that AlexNet takes (got {smallest}; or set it to 0)"
            )


def _chains_fit_the_process(params: Params) -> Iterator[str]:
    process = params.diffusion.process
    chains = {"align.samples": params.align.samples.sampling, "evaluate": params.evaluate.sampling}
    for section, sampling in chains.items():
        if sampling.steps > process.timesteps:
            yield (
                f"{section}.sampling.steps must not exceed diffusion.process.timesteps "
                f"({sampling.steps} > {process.timesteps})"
            )
        if process.kind == "flow" and sampling.sampler != "euler":
            yield (
                f"{section}.sampling.sampler must be euler with diffusion.process.kind: flow "
                f"(got {sampling.sampler})"
            )


def _validation_crops_are_large_enough(params: Params) -> Iterator[str]:
    """Of validation photographs there are crops alone."""
    crop = params.data.crop
    wanted, stored = params.evaluate.crop_px, min(min(size) for size in crop.sizes)
    if params.evaluate.split == "validation" and wanted > stored:
        key = "the sides of data.crop.shapes" if crop.shapes else "data.crop.size_px"
        yield f"evaluate.crop_px must not exceed {key} with evaluate.split: validation ({wanted} > {stored})"


def _parts_fit_the_task(params: Params) -> Iterator[str]:
    task, protocols = params.diffusion.task, {*params.evaluate.protocols}
    followed = (
        {"sample", "generation"} if task == "generation" else {*get_args(ProtocolName)} - {"generation"}
    )
    if not protocols & followed:
        yield (
            f"evaluate.protocols: none can be followed with diffusion.task: {task}; "
            f"take some of {', '.join(sorted(followed))}"
        )
    for part, used in (
        ("autoencoder.network.residual", params.autoencoder.network.residual),
        ("autoencoder.network.branch", params.autoencoder.network.branch.blocks > 0),
        ("diffusion.process.kind: flow", params.diffusion.process.kind == "flow"),
    ):
        if used and task != "super_resolution":
            yield (
                f"{part} needs diffusion.task: super_resolution "
                "(there is no low-resolution image to generation)"
            )
    if params.evaluate.patch_fid_px and task != "super_resolution":
        yield (
            "evaluate.patch_fid_px needs diffusion.task: super_resolution (generation has no truth; "
            "the protocol generation compares its pictures)"
        )


def _devices_can(params: Params) -> Iterator[str]:
    runtime = params.runtime
    parts = runtime.devices * runtime.num_nodes * runtime.accumulate
    for key, training in params.trainings.items():
        if training.precision == "float16" and runtime.device in ("cpu", "mps"):
            yield (
                f"{key}.precision: float16 needs CUDA, not runtime.device: {runtime.device}; "
                "take auto, float32 or bfloat16"
            )
        if training.batch_size % parts:
            yield (
                f"{key}.batch_size must be a multiple of runtime.devices x num_nodes x accumulate "
                f"(got {training.batch_size} and {parts})"
            )


def _rows_have_one_name(params: Params) -> Iterator[str]:
    for name in params.baselines.train:
        if name in by_name(params.evaluate.extra_models):
            yield f"evaluate.extra_models: {name}: is a name already, as baselines.train lists it"


RULES: tuple[Callable[[Params], Iterator[str]], ...] = (  # a line for everything that cannot work together
    _crops_fit_the_networks,
    _targets_fit_the_crops,
    _lpips_sees_enough,
    _chains_fit_the_process,
    _validation_crops_are_large_enough,
    _parts_fit_the_task,
    _devices_can,
    _rows_have_one_name,
)


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
