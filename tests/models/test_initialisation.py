"""A training starts from a model folder's weights, and from no other network's."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from arbiscale.config.autoencoder import AutoencoderNetworkSettings
from arbiscale.errors import UserError
from arbiscale.models.folder import (
    AUTOENCODER,
    CONFIG,
    DENOISER,
    FirstStageConfig,
    ModelConfig,
    read_config,
    save_autoencoder,
    save_latent_diffusion,
)
from arbiscale.models.initialisation import start_from
from arbiscale.models.latent_diffusion import LatentDiffusion
from arbiscale.networks.autoencoder import Autoencoder
from arbiscale.networks.denoiser import Denoiser

Settings = Callable[..., AutoencoderNetworkSettings]


@pytest.fixture
def folder(
    tmp_path: Path,
    model_config: Callable[..., ModelConfig],
    make_model: Callable[[ModelConfig], LatentDiffusion],
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A complete model, in the working directory as `trained`."""
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    config = model_config()
    save_latent_diffusion(tmp_path / "trained", config, make_model(config))
    return tmp_path / "trained"


def start_autoencoder(settings: AutoencoderNetworkSettings, init_from: str = "trained") -> Autoencoder:
    torch.manual_seed(1)
    network = Autoencoder(settings)
    start_from(
        init_from,
        network,
        settings,
        section="autoencoder",
        file=AUTOENCODER,
        missing_allowed=network.missing_allowed,
    )
    return network


def start_denoiser(folder: Path, **changes: Any) -> Denoiser:
    torch.manual_seed(1)
    config = read_config(folder)
    assert config.diffusion is not None
    settings = config.diffusion.denoiser.model_copy(update=changes)
    network = Denoiser(settings, 4, 4)
    start_from(
        "trained",
        network,
        settings,
        section="diffusion.denoiser",
        file=DENOISER,
        missing_allowed=network.missing_allowed,
    )
    return network


def holds(network: nn.Module, file: Path) -> bool:
    state = network.state_dict()
    return all(torch.equal(state[name], tensor) for name, tensor in load_file(file).items())


def test_an_autoencoder_starts_from_a_complete_model(
    folder: Path, network_settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert holds(start_autoencoder(network_settings()), folder / AUTOENCODER)
    assert capsys.readouterr().out == "autoencoder: starts from trained\n"


def test_a_denoiser_starts_from_it(folder: Path) -> None:
    assert holds(start_denoiser(folder), folder / DENOISER)


def test_an_empty_key_leaves_a_network_as_it_is(
    network_settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(1)
    expected = Autoencoder(network_settings()).state_dict()
    found = start_autoencoder(network_settings(), "").state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    assert capsys.readouterr().out == ""


def test_a_folder_without_head_serves_any_head(
    folder: Path, network_settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    own = load_file(folder / AUTOENCODER)
    save_file({n: t for n, t in own.items() if not n.startswith("decoder.head.")}, folder / AUTOENCODER)
    settings = network_settings(residual=False, head={"width": 12, "layers": 3})
    network = start_autoencoder(settings)
    assert holds(network, folder / AUTOENCODER)
    torch.manual_seed(1)
    assert torch.equal(network.decoder.head.first.weight, Autoencoder(settings).decoder.head.first.weight)
    assert (
        capsys.readouterr().out
        == "autoencoder: starts from trained, except 8 tensors that it does not have\n"
    )


def test_a_transformer_is_added_to_trained_weights(folder: Path) -> None:
    before, after = start_denoiser(folder), start_denoiser(folder, transformer_layers=2)
    assert holds(after, folder / DENOISER)
    latent, timestep = torch.randn(1, 8, 4, 6), torch.tensor(3)
    assert torch.equal(before.network(latent, timestep).sample, after.network(latent, timestep).sample)


def test_a_deeper_branch_draws_as_the_shallower_one_did(
    tmp_path: Path, folder: Path, network_settings: Settings
) -> None:
    def settings(blocks: int) -> AutoencoderNetworkSettings:
        return network_settings(branch={"width": 8, "blocks": blocks})

    torch.manual_seed(2)
    before = Autoencoder(settings(1))
    with torch.no_grad():
        for parameter in before.parameters():
            parameter.normal_(std=0.2)
    save_autoencoder(tmp_path / "shallow", FirstStageConfig(factor=4, autoencoder=settings(1)), before)
    after = start_autoencoder(settings(3), "shallow")
    low = torch.rand(1, 3, 8, 8)
    assert torch.equal(after.decode(None, (20, 17), low=low), before.decode(None, (20, 17), low=low))
    with pytest.raises(UserError, match=r"holds another network: autoencoder\.residual"):
        start_autoencoder(network_settings(branch={"width": 8, "blocks": 3}, residual=False), "shallow")
    save_autoencoder(tmp_path / "deep", FirstStageConfig(factor=4, autoencoder=settings(3)), after)
    with pytest.raises(UserError, match=r"unexpected decoder\.branch\.blocks\.1"):
        start_autoencoder(settings(1), "deep")


def test_another_network_is_refused_by_key(folder: Path, network_settings: Settings) -> None:
    with pytest.raises(UserError) as caught:
        start_autoencoder(network_settings(norm_groups=8, residual=False))
    assert str(caught.value) == (
        "init_from: trained: holds another network: autoencoder.residual: True there, False here; "
        "autoencoder.norm_groups: 4 there, 8 here"
    )
    with pytest.raises(UserError, match=r"diffusion.denoiser.attention_width: 8 there, 4 here"):
        start_denoiser(folder, attention_width=4)


def test_a_trained_head_is_not_dropped(folder: Path, network_settings: Settings) -> None:
    with pytest.raises(
        UserError, match=r"holds another network: autoencoder.residual: True there, False here"
    ):
        start_autoencoder(network_settings(residual=False))


def test_no_model_is_one_line(folder: Path, network_settings: Settings) -> None:
    with pytest.raises(UserError, match=r"init_from: nowhere: no model there \(no config.json\)"):
        start_autoencoder(network_settings(), "nowhere")
    config = folder / CONFIG
    config.write_text('{"format": "arbiscale-1"}')
    with pytest.raises(UserError, match=r"config.json: autoencoder: is missing"):
        start_autoencoder(network_settings())


def test_a_folder_is_looked_for_in_the_repository_too(
    folder: Path, network_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.chdir(tmp_path / "temporary")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert holds(start_autoencoder(network_settings()), folder / AUTOENCODER)
