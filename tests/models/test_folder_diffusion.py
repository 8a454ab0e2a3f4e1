import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from arbiscale.config.sampling import SamplingSettings
from arbiscale.errors import UserError
from arbiscale.models.folder import (
    AUTOENCODER,
    CONFIG,
    DENOISER,
    FirstStageConfig,
    ModelConfig,
    build_latent_diffusion,
    load_latent_diffusion,
    read_config,
    save_autoencoder,
    save_latent_diffusion,
)
from arbiscale.models.latent_diffusion import LatentDiffusion
from arbiscale.networks.autoencoder import Autoencoder

ConfigMaker = Callable[..., ModelConfig]
ModelMaker = Callable[[ModelConfig], LatentDiffusion]


@pytest.mark.parametrize("task", ["super_resolution", "generation"])
def test_a_model_returns_to_the_bit(
    tmp_path: Path, model_config: ConfigMaker, make_model: ModelMaker, task: str
) -> None:
    config = model_config(task)
    model = make_model(config)
    save_latent_diffusion(tmp_path / "model", config, model)
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [AUTOENCODER, CONFIG, DENOISER]
    loaded = load_latent_diffusion(tmp_path / "model")
    assert read_config(tmp_path / "model") == config
    assert not loaded.training
    assert loaded.factor == (4 if task == "super_resolution" else None)
    expected = model.state_dict()
    assert loaded.state_dict().keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in loaded.state_dict().items())
    assert torch.equal(loaded.space.shift, model.space.shift)
    assert torch.equal(loaded.space.scale, model.space.scale)

    save_latent_diffusion(tmp_path / "again", config, loaded)
    for path in (tmp_path / "model").iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


def test_an_older_folder_names_neither_sampler_nor_transformer(
    tmp_path: Path, model_config: ConfigMaker, make_model: ModelMaker
) -> None:
    sampling = SamplingSettings(sampler="ddim", steps=7, spacing="leading", eta=0.5)
    config = model_config().model_copy(update={"sampling": sampling})
    save_latent_diffusion(tmp_path / "model", config, make_model(config))
    values = json.loads((tmp_path / "model" / CONFIG).read_text())
    del values["sampling"]["sampler"]
    del values["diffusion"]["denoiser"]["transformer_layers"]
    (tmp_path / "model" / CONFIG).write_text(json.dumps(values))
    assert read_config(tmp_path / "model") == config
    load_latent_diffusion(tmp_path / "model")


def test_an_autoencoders_folder_is_a_model_without_diffusion(
    tmp_path: Path, model_config: ConfigMaker
) -> None:
    network = model_config().autoencoder
    config = FirstStageConfig(factor=4, autoencoder=network)
    save_autoencoder(tmp_path / "model", config, Autoencoder(network))
    assert read_config(tmp_path / "model") == ModelConfig(factor=4, autoencoder=network)
    with pytest.raises(UserError, match="model: holds an autoencoder only; give the folder of a later stage"):
        load_latent_diffusion(tmp_path / "model")
    with pytest.raises(ValueError, match="describes an autoencoder only"):
        build_latent_diffusion(read_config(tmp_path / "model"), Autoencoder(network))


def test_a_missing_denoiser_is_named(
    tmp_path: Path, model_config: ConfigMaker, make_model: ModelMaker
) -> None:
    config = model_config()
    save_latent_diffusion(tmp_path / "model", config, make_model(config))
    (tmp_path / "model" / DENOISER).unlink()
    with pytest.raises(UserError, match=f"{DENOISER}: no such file; restore it with `dvc checkout`"):
        load_latent_diffusion(tmp_path / "model")


def test_the_other_tasks_denoiser_does_not_fit(
    tmp_path: Path, model_config: ConfigMaker, make_model: ModelMaker
) -> None:
    generation = model_config("generation")
    save_latent_diffusion(tmp_path / "model", model_config(residual=False), make_model(generation))
    with pytest.raises(UserError, match=r"conv_in.weight is \(8, 4, 3, 3\), not \(8, 8, 3, 3\)"):
        load_latent_diffusion(tmp_path / "model")
