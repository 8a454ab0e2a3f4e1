"""Fixtures that every part of the tests may use."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

if TYPE_CHECKING:
    from torch import Tensor

    from arbiscale.config.autoencoder import AutoencoderNetworkSettings
    from arbiscale.inference.latent_model import LatentModel
    from arbiscale.models.folder import ModelConfig
    from arbiscale.models.latent_diffusion import LatentDiffusion


pytest_plugins = ["tests.browser", "tests.postgresql", "tests.stand_ins", "tests.team_servers"]

PRESETS = Path(__file__).parents[1] / "src" / "arbiscale" / "config" / "presets"
PUBLISHED = [path for path in sorted(PRESETS.glob("*.yaml")) if path.read_text().startswith("# Published: ")]


@pytest.fixture(autouse=True)
def _same_numbers_in_every_run() -> None:
    """Weights and inputs that tests draw at random are the same whichever tests run, in whatever order."""
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


@pytest.fixture(params=PUBLISHED, ids=lambda path: path.stem)
def published(request: pytest.FixtureRequest) -> Path:
    """The preset of every published configuration."""
    return request.param


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of published reference data; skips where there is none, unless it is demanded."""
    folder = Path(os.environ.get("ARBISCALE_SHARED", Path(__file__).parents[2] / "shared"))
    if folder.is_dir():
        return folder.resolve()
    if os.environ.get("ARBISCALE_REQUIRE_SHARED") == "1":
        pytest.fail(f"{folder}: ARBISCALE_REQUIRE_SHARED=1, but there is no such folder")
    pytest.skip(f"{folder}: no reference data here (ARBISCALE_SHARED names its folder)")


def photograph(height_px: int, width_px: int, seed: int) -> NDArray[np.uint8]:
    """A picture with smooth parts and edges, different for every seed: uint8 (height, width, 3)."""
    noise = np.random.default_rng(seed).integers(0, 256, (height_px, width_px, 3), dtype=np.uint8)
    smooth = Image.fromarray(noise).filter(ImageFilter.GaussianBlur(4))
    pixels = np.asarray(smooth).copy()
    pixels[height_px // 3 : height_px // 2, width_px // 4 : width_px // 2] = (seed * 40 % 256, 200, 30)
    return pixels


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of five small photographs a.png to e.png, 64 to 96 px wide and 64 px high."""
    folder = tmp_path_factory.mktemp("photographs")
    for seed, name in enumerate("abcde"):
        Image.fromarray(photograph(64, 64 + 8 * seed, seed)).save(folder / f"{name}.png")
    return folder


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's database as just created: a copy takes milliseconds, creating one seconds."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    file = tmp_path_factory.mktemp("store") / "mlflow.db"
    SqlAlchemyStore(f"sqlite:///{file}", file.with_name("mlartifacts").as_uri()).engine.dispose()
    return file


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_database: Path) -> Path:
    """An empty repository with an MLflow store of its own: the working directory, outside of DVC."""
    for name in (
        *("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID"),
        *("DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV"),
    ):
        monkeypatch.delenv(name, raising=False)
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def network_settings() -> Callable[..., AutoencoderNetworkSettings]:
    """Makes settings of tiny autoencoders (4 latent channels, f = 4); keywords replace what stands here."""
    from arbiscale.config.autoencoder import AutoencoderNetworkSettings

    def make(**changes: Any) -> AutoencoderNetworkSettings:
        level = {"width": 8, "multipliers": [1], "blocks": 1, "attention": False}
        values = {
            "latent_channels": 4,
            "posterior": "deterministic",
            "residual": True,
            "norm_groups": 4,
            "encoder": {"unshuffle": 4, **level},
            "decoder": level,
            "head": {"width": 8, "layers": 2},
        }
        return AutoencoderNetworkSettings.model_validate(values | changes)

    return make


@pytest.fixture(scope="session")
def model_config(
    network_settings: Callable[..., AutoencoderNetworkSettings],
) -> Callable[..., ModelConfig]:
    """Makes configurations of tiny models of a task, of factor 4; keywords go to the autoencoder."""
    from arbiscale.models.folder import DiffusionConfig, ModelConfig

    def make(
        task: str = "super_resolution", prediction: str = "v", *, kind: str = "diffusion", **changes: Any
    ) -> ModelConfig:
        network = network_settings(**{"residual": task == "super_resolution"} | changes)
        process = {"timesteps": 100, "beta_start": 0.0015, "beta_end": 0.0155, "zero_terminal_snr": False}
        process["kind"] = kind
        denoiser = {"width": 8, "multipliers": [1, 2], "blocks": 1, "norm_groups": 4}
        attention = {"attention_factors": [], "middle_attention": False, "attention_width": 8}
        diffusion = DiffusionConfig.model_validate(
            {
                "task": task,
                "condition_upsampling": "bicubic",
                "process": {**process, "prediction": prediction},
                "denoiser": {**denoiser, **attention},
                "latent_shift": [0.1, -0.2, 0.3, 0.0],
                "latent_scale": [1.5, 0.5, 2.0, 1.0],
                "training_latent_px": 8,
            }
        )
        return ModelConfig(factor=4, autoencoder=network, diffusion=diffusion)

    return make


@pytest.fixture(scope="session")
def make_model() -> Callable[[ModelConfig], LatentDiffusion]:
    """Builds a model with random weights, the same every time; none is zero, so that everything draws."""
    import torch

    from arbiscale.models.folder import build_latent_diffusion
    from arbiscale.networks.autoencoder import Autoencoder

    def make(config: ModelConfig) -> LatentDiffusion:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = build_latent_diffusion(config, Autoencoder(config.autoencoder))
            for parameter in model.parameters():
                if not parameter.any():
                    torch.nn.init.normal_(parameter, std=0.1)
        return model.eval()

    return make


@pytest.fixture(scope="session")
def latent_model(
    model_config: Callable[..., ModelConfig], make_model: Callable[[ModelConfig], LatentDiffusion]
) -> Callable[..., LatentModel]:
    """Makes tiny models of a task on the CPU; keywords go to their sampling, of 2 steps."""
    import torch

    from arbiscale.config.sampling import SamplingSettings
    from arbiscale.inference.latent_model import LatentModel

    def make(task: str = "super_resolution", **changes: Any) -> LatentModel:
        sampling = SamplingSettings(**{"steps": 2, "spacing": "trailing", "eta": 0.0} | changes)
        if task != "reconstruction":
            config = model_config(task)
            return LatentModel(config, make_model(config), torch.device("cpu"), "float32", sampling)
        config = model_config()
        autoencoder = make_model(config).space.autoencoder
        alone = config.model_copy(update={"diffusion": None})
        return LatentModel(alone, autoencoder, torch.device("cpu"), "float32", sampling)

    return make


@pytest.fixture(scope="session")
def upscaler(latent_model: Callable[..., LatentModel]) -> LatentModel:
    """A residual decoder behind a convolutional denoiser; 2 steps."""
    return latent_model()


@pytest.fixture(scope="session")
def generator(latent_model: Callable[..., LatentModel]) -> LatentModel:
    """The same for generation."""
    return latent_model("generation")


@pytest.fixture(scope="session")
def save_linf(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes model folders of tiny LINFs with random weights; keywords go to the head."""
    import torch

    from arbiscale.config.local_implicit import LocalImplicitSettings
    from arbiscale.models.folder import LocalImplicitConfig, save_local_implicit
    from arbiscale.models.local_implicit import LocalImplicit

    head = {"kind": "flow", "width": 16, "layers": 2, "frequencies": 8, "flow_layers": 3}

    def save(temperature: float = 0.0, **changes: Any) -> Path:
        settings = LocalImplicitSettings.model_validate(
            {
                "encoder": {"kind": "edsr", "width": 8, "blocks": 2},
                "head": head | changes,
                "residual": True,
            }
        )
        with torch.random.fork_rng():
            torch.manual_seed(0)
            network = LocalImplicit(settings)
            torch.nn.init.normal_(network.head.output.weight, std=0.1)
        folder = tmp_path_factory.mktemp("models") / "linf"
        save_local_implicit(folder, LocalImplicitConfig(network=settings, temperature=temperature), network)
        return folder

    return save


@pytest.fixture(scope="session")
def vgg16() -> dict[str, Tensor]:
    """VGG16's convolutions as a state dict, with random weights that keep the features' scale."""
    import torch

    generator = torch.Generator().manual_seed(0)
    features, channels_in = {}, 3
    widths = {0: 64, 2: 64, 5: 128, 7: 128, 10: 256, 12: 256, 14: 256} | dict.fromkeys(
        (17, 19, 21, 24, 26, 28), 512
    )
    for index, width in widths.items():
        scale = (2 / (9 * channels_in)) ** 0.5
        kernels = torch.randn((width, channels_in, 3, 3), generator=generator)
        features[f"features.{index}.weight"] = kernels * scale
        features[f"features.{index}.bias"] = torch.zeros(width)
        channels_in = width
    return features


@pytest.fixture(scope="session")
def inception_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `inception.pth`: its layout with random weights that keep the features' scale."""
    from io import BytesIO

    import torch
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    class Random(FeatureExtractorInceptionV3):
        def load_state_dict(self, state: dict[str, Tensor]) -> None:
            """Keep the weights drawn."""

    nothing = BytesIO()
    torch.save({}, nothing)
    nothing.seek(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Random("random", ["2048"], feature_extractor_weights_path=nothing)
    state = {key: value * 6**0.5 if "conv" in key else value for key, value in network.state_dict().items()}
    folder = tmp_path_factory.mktemp("inception")
    torch.save(state, folder / "inception.pth")
    return folder
