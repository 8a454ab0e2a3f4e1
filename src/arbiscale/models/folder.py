"""Model folders: config.json and safetensors, complete and self-describing, without ids, times or paths.

`autoencoder.safetensors` is always there, `denoiser.safetensors` from the diffusion stage on; a LIIF has
`liif.safetensors` instead. Equal weights give equal bytes, so a stage that is executed again with the same
result reruns nothing after it.
"""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from arbiscale.config.autoencoder import AutoencoderNetworkSettings
from arbiscale.config.diffusion import DenoiserSettings, DiffusionSettings, ProcessSettings
from arbiscale.config.liif import LIIF_FORMAT, LIIFNetworkSettings
from arbiscale.config.sampling import SamplingSettings
from arbiscale.config.section import Section, read_yaml, validate
from arbiscale.diffusion.process import DiffusionProcess
from arbiscale.errors import UserError
from arbiscale.files import atomic_folder, write_json
from arbiscale.models.latent_diffusion import LatentDiffusion
from arbiscale.models.latent_space import LatentSpace, LatentStatistics
from arbiscale.models.liif import LIIF
from arbiscale.networks.autoencoder import Autoencoder
from arbiscale.networks.denoiser import Denoiser

CONFIG, AUTOENCODER = "config.json", "autoencoder.safetensors"


class FirstStageConfig(Section):
    """What config.json says of every model."""

    format: Literal["arbiscale-1"] = "arbiscale-1"
    factor: int = Field(ge=1)  # HR crop / LR crop
    autoencoder: AutoencoderNetworkSettings


ConfigType = TypeVar("ConfigType", bound=FirstStageConfig)


def read_json_config(folder: Path, kind: type[ConfigType]) -> ConfigType:
    """A model folder's configuration; raises UserError naming the folder when it is none."""
    path = folder / CONFIG
    if not path.is_file():
        raise UserError(f"{folder}: is not a model folder (no {CONFIG}); train one with `dvc repro`")
    return validate(kind, read_yaml(path), path)  # JSON is YAML 1.2


def save_autoencoder(folder: Path, config: FirstStageConfig, autoencoder: Autoencoder) -> None:
    """Write a model folder that holds an autoencoder only."""
    with atomic_folder(folder) as temporary:
        write_json(temporary / CONFIG, config.model_dump())
        save_tensors(autoencoder, temporary / AUTOENCODER)


def load_autoencoder(folder: Path, settings: AutoencoderNetworkSettings) -> Autoencoder:
    """The autoencoder of a model folder, in evaluation mode, on the CPU.

    Raises:
        UserError: as `read_tensors`; and a first stage without implicit head, with what gives it one.
    """
    autoencoder = Autoencoder(settings)
    head = autoencoder.missing_allowed
    tensors = read_tensors(autoencoder, folder / AUTOENCODER, missing_allowed=head)
    if not head <= tensors.keys():
        raise UserError(
            f"{folder}: its first stage has no implicit head, without which nothing is drawn; train one: "
            f"set autoencoder.init_from: {folder} and run `dvc repro`"
        )
    autoencoder.load_state_dict(tensors)
    return autoencoder.eval()


def save_tensors(network: nn.Module, path: Path) -> None:
    """Write a network's state as safetensors."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    save_file(tensors, path)


def load_tensors(network: nn.Module, path: Path) -> None:
    """Read a network's state. Raises as `read_tensors`."""
    network.load_state_dict(read_tensors(network, path))


def read_tensors(
    network: nn.Module, path: Path, *, missing_allowed: Container[str] = ()
) -> dict[str, Tensor]:
    """A file's tensors, having made sure that they are a network's.

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


DENOISER = "denoiser.safetensors"


class DiffusionConfig(Section):
    """What rebuilds a latent diffusion model around its autoencoder."""

    task: Literal["super_resolution", "generation"]
    condition_upsampling: Literal["nearest", "bilinear", "bicubic"]
    process: ProcessSettings
    denoiser: DenoiserSettings
    latent_shift: list[float]
    latent_scale: list[float]
    training_latent_px: int = Field(ge=1)  # side of the latents it was trained on

    @classmethod
    def of(
        cls, settings: DiffusionSettings, statistics: LatentStatistics, training_latent_px: int
    ) -> DiffusionConfig:
        """What a model trained by these settings, on latents of these statistics, says of itself."""
        return cls(
            task=settings.task,
            condition_upsampling=settings.condition_upsampling,
            process=settings.process,
            denoiser=settings.denoiser,
            latent_shift=statistics.shift,
            latent_scale=statistics.scale,
            training_latent_px=training_latent_px,
        )


class ModelConfig(FirstStageConfig):
    """What config.json says of a model; without a diffusion part it is an autoencoder."""

    diffusion: DiffusionConfig | None = None
    sampling: SamplingSettings | None = None  # the default sampler


def read_config(folder: Path) -> ModelConfig:
    """Any model folder's configuration; raises UserError naming the folder when it is none."""
    return read_json_config(folder, ModelConfig)


def save_latent_diffusion(folder: Path, config: ModelConfig, model: LatentDiffusion) -> None:
    """Write a complete model folder."""
    with atomic_folder(folder) as temporary:
        write_json(temporary / CONFIG, config.model_dump())
        save_tensors(model.space.autoencoder, temporary / AUTOENCODER)
        save_tensors(model.denoiser, temporary / DENOISER)


def build_latent_diffusion(config: ModelConfig, autoencoder: Autoencoder) -> LatentDiffusion:
    """The model a configuration describes around an autoencoder, its denoiser not yet trained.

    Raises:
        ValueError: the configuration has no diffusion part.
    """
    diffusion = config.diffusion
    if diffusion is None:
        raise ValueError("the configuration describes an autoencoder only")
    super_resolution = diffusion.task == "super_resolution"
    space = LatentSpace(autoencoder, LatentStatistics(diffusion.latent_shift, diffusion.latent_scale))
    denoiser = Denoiser(diffusion.denoiser, space.channels, space.channels if super_resolution else 0)
    factor = config.factor if super_resolution else None
    process = DiffusionProcess(diffusion.process)
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
    load_tensors(model.denoiser, folder / DENOISER)
    return model.eval()


WEIGHTS = "liif.safetensors"


class LIIFConfig(Section):
    """What config.json says of a LIIF."""

    format: Literal["arbiscale-liif-1"] = LIIF_FORMAT
    network: LIIFNetworkSettings


def save_liif(folder: Path, liif: LIIF) -> None:
    """Write a model folder."""
    with atomic_folder(folder) as temporary:
        write_json(temporary / CONFIG, LIIFConfig(network=liif.settings).model_dump())
        save_tensors(liif, temporary / WEIGHTS)


def load_liif(folder: Path) -> LIIF:
    """The LIIF of a model folder, in evaluation mode, on the CPU.

    Raises:
        UserError: a damaged configuration, or tensors that do not fit it.
    """
    path = folder / CONFIG
    config = validate(LIIFConfig, read_yaml(path), path)  # JSON is YAML 1.2
    liif = LIIF(config.network)
    load_tensors(liif, folder / WEIGHTS)
    return liif.eval()
