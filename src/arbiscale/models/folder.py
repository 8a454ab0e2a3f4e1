"""Model folders: config.json and safetensors, complete and self-describing, without ids, times or paths.

`autoencoder.safetensors` is always there, `denoiser.safetensors` from the diffusion stage on; a LIIF or a
LINF has `local_implicit.safetensors` instead. Equal weights give equal bytes, so a stage that is executed
again with the same result reruns no later stage.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from arbiscale.config.autoencoder import AutoencoderNetworkSettings
from arbiscale.config.diffusion import DenoiserSettings, DiffusionSettings, ProcessSettings
from arbiscale.config.local_implicit import LocalImplicitSettings
from arbiscale.config.sampling import SamplingSettings
from arbiscale.config.section import Section, read_yaml, validate
from arbiscale.config.sizes import HeightByWidth, Size, parse_size, size_name
from arbiscale.diffusion.flow_process import FlowProcess
from arbiscale.diffusion.process import DiffusionProcess
from arbiscale.errors import UserError
from arbiscale.files import atomic_folder, write_json
from arbiscale.models.latent_diffusion import LatentDiffusion
from arbiscale.models.latent_space import LatentSpace, LatentStatistics
from arbiscale.models.local_implicit import LocalImplicit
from arbiscale.networks.autoencoder import Autoencoder
from arbiscale.networks.denoiser import Denoiser

CONFIG = "config.json"
AUTOENCODER, DENOISER = "autoencoder.safetensors", "denoiser.safetensors"
LOCAL_IMPLICIT = "local_implicit.safetensors"
LOCAL_IMPLICIT_FORMAT: Literal["arbiscale-local-implicit-1"] = "arbiscale-local-implicit-1"


class FirstStageConfig(Section):
    """The part of config.json that every diffusion model and every autoencoder has."""

    format: Literal["arbiscale-1"] = "arbiscale-1"
    factor: int = Field(ge=1)  # HR crop / LR crop
    autoencoder: AutoencoderNetworkSettings


class DiffusionConfig(Section):
    """What is needed to rebuild a latent diffusion model around its autoencoder."""

    task: Literal["super_resolution", "generation"]
    condition_upsampling: Literal["nearest", "bilinear", "bicubic"]
    process: ProcessSettings
    denoiser: DenoiserSettings
    latent_shift: list[float]
    latent_scale: list[float]
    training_latent_px: int = Field(ge=1)  # side of the latents it was trained on
    training_latent_shapes: list[HeightByWidth] = Field(default=[])  # theirs, where they were no such squares

    @property
    def latent_sizes(self) -> list[Size]:
        """(height, width) of the latents it was trained on."""
        return [*map(parse_size, self.training_latent_shapes)] or [
            (self.training_latent_px, self.training_latent_px)
        ]

    @classmethod
    def of(
        cls,
        settings: DiffusionSettings,
        statistics: LatentStatistics,
        training_latent_px: int,
        latent_sizes: Sequence[Size] = (),
    ) -> DiffusionConfig:
        """The configuration of a model trained with these settings on latents of these statistics.

        `latent_sizes`: (height, width) of the latents; none = squares of `training_latent_px`.
        """
        shapes = [] if [*latent_sizes] == [(training_latent_px,) * 2] else [*map(size_name, latent_sizes)]
        return cls(
            task=settings.task,
            condition_upsampling=settings.condition_upsampling,
            process=settings.process,
            denoiser=settings.denoiser,
            latent_shift=statistics.shift,
            latent_scale=statistics.scale,
            training_latent_px=training_latent_px,
            training_latent_shapes=shapes,
        )


class ModelConfig(FirstStageConfig):
    """The content of config.json; a model without a diffusion part is an autoencoder."""

    diffusion: DiffusionConfig | None = None
    sampling: SamplingSettings | None = None  # the default sampler
    temperature: float = Field(default=0.0, ge=0, le=1)  # that a flow draws with where none is asked for
    fidelity: float = Field(default=0.0, ge=0, le=1)  # 1 = what a branch draws without latent


class LocalImplicitConfig(Section):
    """The content of config.json of a LIIF or a LINF."""

    format: Literal["arbiscale-local-implicit-1"] = LOCAL_IMPLICIT_FORMAT
    network: LocalImplicitSettings
    temperature: float = Field(default=0.0, ge=0, le=1)  # that a flow draws with where none is asked for


def read_config(folder: Path) -> ModelConfig:
    """A model folder's configuration; raises UserError when the folder is no model folder."""
    path = folder / CONFIG
    if not path.is_file():
        raise UserError(f"{folder}: is not a model folder (no {CONFIG}); train one with `dvc repro`")
    return validate(ModelConfig, read_yaml(path), path)  # JSON is YAML 1.2


def save_tensors(network: nn.Module, path: Path) -> None:
    """Write a network's state as safetensors."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    try:
        save_file(tensors, path)
    except SafetensorError as error:  # such as a full disk
        raise OSError(str(error)) from None


def read_tensors(
    network: nn.Module, path: Path, *, missing_allowed: Container[str] = ()
) -> dict[str, Tensor]:
    """A file's tensors, checked against a network's names and shapes.

    Raises:
        UserError: a missing or damaged file, or tensors that do not fit, listed with both shapes.
    """
    try:
        tensors = load_file(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; restore it with `dvc checkout` or `dvc repro`") from None
    except SafetensorError as error:
        raise UserError(f"{path}: is not a readable safetensors file ({error})") from None
    expected = network.state_dict()
    problems = [f"missing {name}" for name in expected if name not in tensors and name not in missing_allowed]
    problems += [f"unexpected {name}" for name in tensors if name not in expected]
    problems += [
        f"{name} is {tuple(tensors[name].shape)}, not {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in tensors and tensors[name].shape != tensor.shape
    ]
    if problems:
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise UserError(f"{path}: does not fit {CONFIG}: {'; '.join(problems[:5])}{more}")
    return tensors


def save_autoencoder(folder: Path, config: FirstStageConfig, autoencoder: Autoencoder) -> None:
    """Write a model folder that holds an autoencoder only."""
    with atomic_folder(folder) as temporary:
        write_json(temporary / CONFIG, config.model_dump())
        save_tensors(autoencoder, temporary / AUTOENCODER)


def load_autoencoder(folder: Path, settings: AutoencoderNetworkSettings) -> Autoencoder:
    """The autoencoder of a model folder, in evaluation mode, on the CPU.

    Raises:
        UserError: as `read_tensors`; or the first stage has no implicit head.
    """
    autoencoder = Autoencoder(settings)
    head = autoencoder.missing_allowed
    tensors = read_tensors(autoencoder, folder / AUTOENCODER, missing_allowed=head)
    if not head <= tensors.keys():
        raise UserError(
            f"{folder}: its first stage has no implicit head and cannot draw; to train one, "
            f"set autoencoder.init_from: {folder} and run `dvc repro`"
        )
    autoencoder.load_state_dict(tensors)
    return autoencoder.eval()


def halve(source: Path, folder: Path, fidelity: float | None = None) -> None:
    """Copy a model folder with its weights in float16: half the bytes, and the same pictures to the eye.

    `fidelity`: what the copy draws at where none is asked for; None = as before. An autoencoder of which
    only the branch is trained draws at 1.

    Raises:
        UserError: no model there, or weights that float16 cannot hold.
    """
    config = source / CONFIG
    if not config.is_file():
        raise UserError(f"{source}: is not a model folder (no {CONFIG})")
    with atomic_folder(folder) as temporary:
        values = read_yaml(config) | ({} if fidelity is None else {"fidelity": fidelity})
        write_json(temporary / CONFIG, values)
        for file in sorted(source.glob("*.safetensors")):
            halved = {name: tensor.half() for name, tensor in load_file(file).items()}
            if not all(tensor.isfinite().all() for tensor in halved.values()):
                raise UserError(f"{file}: holds weights beyond float16's range")
            save_file(halved, temporary / file.name)


def save_latent_diffusion(folder: Path, config: ModelConfig, model: LatentDiffusion) -> None:
    """Write a complete model folder."""
    with atomic_folder(folder) as temporary:
        write_json(temporary / CONFIG, config.model_dump())
        save_tensors(model.space.autoencoder, temporary / AUTOENCODER)
        save_tensors(model.denoiser, temporary / DENOISER)


def build_denoiser(
    diffusion: DiffusionConfig | DiffusionSettings, autoencoder: AutoencoderNetworkSettings
) -> Denoiser:
    """A denoiser with random weights for an autoencoder's latents, and super-resolution's condition."""
    condition = autoencoder.condition_channels if diffusion.task == "super_resolution" else 0
    return Denoiser(diffusion.denoiser, autoencoder.latent_channels, condition)


def build_latent_diffusion(config: ModelConfig, autoencoder: Autoencoder) -> LatentDiffusion:
    """The model that a configuration describes, around an autoencoder, with a denoiser of random weights.

    Raises:
        ValueError: the configuration has no diffusion part.
    """
    diffusion = config.diffusion
    if diffusion is None:
        raise ValueError("the configuration describes an autoencoder only")
    space = LatentSpace(autoencoder, LatentStatistics(diffusion.latent_shift, diffusion.latent_scale))
    denoiser = build_denoiser(diffusion, config.autoencoder)
    factor = config.factor if diffusion.task == "super_resolution" else None
    flows = diffusion.process.kind == "flow"
    process = FlowProcess(diffusion.process) if flows else DiffusionProcess(diffusion.process)
    return LatentDiffusion(space, process, denoiser, factor, diffusion.condition_upsampling)


def load_latent_diffusion(folder: Path) -> LatentDiffusion:
    """The latent diffusion model of a model folder, in evaluation mode, on the CPU.

    Raises:
        UserError: the folder holds none, or its tensors do not fit its configuration.
    """
    config = read_config(folder)
    if config.diffusion is None:
        raise UserError(f"{folder}: holds an autoencoder only; give the folder of a later stage")
    model = build_latent_diffusion(config, load_autoencoder(folder, config.autoencoder))
    model.denoiser.load_state_dict(read_tensors(model.denoiser, folder / DENOISER))
    return model.eval()


def save_local_implicit(folder: Path, config: LocalImplicitConfig, network: LocalImplicit) -> None:
    """Write a model folder."""
    with atomic_folder(folder) as temporary:
        write_json(temporary / CONFIG, config.model_dump())
        save_tensors(network, temporary / LOCAL_IMPLICIT)


def holds_local_implicit(folder: Path) -> bool:
    """Whether a folder's configuration says that it holds a LIIF or a LINF."""
    path = folder / CONFIG
    return path.is_file() and read_yaml(path).get("format") == LOCAL_IMPLICIT_FORMAT


def read_local_implicit_config(folder: Path) -> LocalImplicitConfig:
    """The configuration of a model folder of this kind; raises UserError for a damaged one."""
    path = folder / CONFIG
    return validate(LocalImplicitConfig, read_yaml(path), path)  # JSON is YAML 1.2


def load_local_implicit(folder: Path) -> LocalImplicit:
    """The LIIF or LINF of a model folder, in evaluation mode, on the CPU.

    Raises:
        UserError: a damaged configuration, or tensors that do not fit it.
    """
    network = LocalImplicit(read_local_implicit_config(folder).network)
    network.load_state_dict(read_tensors(network, folder / LOCAL_IMPLICIT))
    return network.eval()
