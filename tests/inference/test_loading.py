"""What a folder becomes, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from arbiscale.config.sampling import SamplingSettings
from arbiscale.errors import UserError
from arbiscale.inference.loading import load_model
from arbiscale.models.folder import FirstStageConfig, ModelConfig, save_autoencoder, save_latent_diffusion
from arbiscale.models.latent_diffusion import LatentDiffusion
from arbiscale.networks.autoencoder import Autoencoder

ConfigMaker = Callable[..., ModelConfig]
ModelMaker = Callable[[ModelConfig], LatentDiffusion]


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory, model_config: ConfigMaker, make_model: ModelMaker
) -> Path:
    """Model folders of each task, named by it."""
    folder = tmp_path_factory.mktemp("models")
    for task in ("super_resolution", "generation"):
        config = model_config(task)
        save_latent_diffusion(folder / task, config, make_model(config))
    network = model_config().autoencoder
    first_stage = FirstStageConfig(factor=4, autoencoder=network)
    save_autoencoder(folder / "reconstruction", first_stage, Autoencoder(network))
    return folder


def test_a_model_says_what_it_is(folder: Path) -> None:
    for task in ("super_resolution", "generation", "reconstruction"):
        model = load_model(str(folder / task), "cpu")
        assert (model.task, model.factor, model.downsampling) == (task, 4, 4)
        assert model.device == torch.device("cpu")
        assert not any(parameter.requires_grad for parameter in model.autoencoder.parameters())


def test_a_default_of_float64_leaves_models_in_float32(folder: Path) -> None:
    image = np.zeros((8, 9, 3), np.uint8)
    expected = load_model(folder / "super_resolution", "cpu").upscale(image, scale=2, steps=1)
    torch.set_default_dtype(torch.float64)
    try:
        drawn = load_model(folder / "super_resolution", "cpu").upscale(image, scale=2, steps=1)
    finally:
        torch.set_default_dtype(torch.float32)
    np.testing.assert_array_equal(drawn, expected)


def test_the_sampler_is_the_one_given_or_the_folders_or_the_default(
    tmp_path: Path, model_config: ConfigMaker, make_model: ModelMaker
) -> None:
    own = SamplingSettings(steps=7, spacing="leading", eta=0.5)
    other = own.model_copy(update={"steps": 3})
    config = model_config()
    for name, sampling in (("with", own), ("without", None)):
        update = config.model_copy(update={"sampling": sampling})
        save_latent_diffusion(tmp_path / name, update, make_model(config))
    assert load_model(tmp_path / "with", "cpu").sampling == own
    assert load_model(tmp_path / "without", "cpu").sampling.steps == 50
    assert load_model(tmp_path / "with", "cpu", sampling=other).sampling == other


def test_a_published_file_is_refused_with_the_command_that_makes_a_model_of_it(tmp_path: Path) -> None:
    file = tmp_path / "liif.pth"
    file.write_bytes(b"weights")
    with pytest.raises(UserError, match=f"{file}: is a file.*arbiscale import-checkpoint {file} --to DIR"):
        load_model(file)


def test_what_is_not_there_is_one_line(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(UserError, match="nothing: is not a model folder"):
        load_model(tmp_path / "nothing", "cpu")
    with pytest.raises(UserError, match="device 'gpu': is none of auto"):
        load_model(folder / "generation", "gpu")
    with pytest.raises(UserError, match="precision 'half': must be one of float32, bfloat16, float16"):
        load_model(folder / "generation", "cpu", precision="half")


def test_a_registered_model_of_no_registry_makes_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="there is no registry here"):
        load_model("models:/arbiscale@champion")
    assert not list(tmp_path.iterdir())
    with pytest.raises(UserError, match="model None: must be a folder"):
        load_model(None)
