"""import-checkpoint and export-checkpoint: from the published layout and back, by a preset."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from arbiscale.cli.app import main
from arbiscale.config.params import Params
from arbiscale.config.preset import preview_preset
from arbiscale.interop.first_stage_names import first_stage_pairs
from arbiscale.interop.tensors import table_of, to_published
from arbiscale.interop.unet_names import unet_pairs
from arbiscale.networks.autoencoder import Autoencoder
from arbiscale.networks.denoiser import Denoiser

ROOT = Path(__file__).parents[2]
SMALL = """\
# DIV2K's configuration with networks as narrow as they may be.
extends: div2k
autoencoder:
  network:
    encoder: {width: 32, multipliers: [1, 1, 2], blocks: 1}
    decoder: {width: 32, multipliers: [1, 1, 2], blocks: 1}
    head: {width: 16}
diffusion:
  denoiser: {width: 32, blocks: 1}
"""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a small published preset, as the working directory."""
    monkeypatch.delenv("DVC_ROOT", raising=False)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets" / "small.yaml").write_text(SMALL)
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def params(workspace: Path) -> Params:
    return preview_preset(workspace / "params.yaml", workspace / "presets" / "small.yaml")


@pytest.fixture
def state(params: Params) -> dict[str, Tensor]:
    """A checkpoint of the small configuration: both networks under published names, and the latent scale."""
    torch.manual_seed(0)
    autoencoder = Autoencoder(params.autoencoder.network)
    denoiser = Denoiser(params.diffusion.denoiser, 3, 3)
    first_stage = table_of(autoencoder, first_stage_pairs(autoencoder.settings))
    unet = table_of(denoiser, unet_pairs(params.diffusion.denoiser))
    parts = {
        "first_stage_model.": to_published(first_stage, autoencoder.state_dict()),
        "model.diffusion_model.": to_published(unet, denoiser.state_dict()),
    }
    named = {prefix + name: tensor for prefix, part in parts.items() for name, tensor in part.items()}
    return named | {"scale_factor": torch.tensor(0.25)}


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    return int(end.value.code or 0)


def test_a_published_checkpoint_upscales_and_returns(
    workspace: Path, state: dict[str, Tensor], capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"state_dict": state, "epoch": 1}, "published.ckpt")
    assert run("import-checkpoint", "published.ckpt", "--preset", "small", "--to", "models/imported") == 0
    assert capsys.readouterr().out == (
        "models/imported: first stage, U-Net, latent scale 0.25\nIt draws: --model models/imported\n"
    )
    Image.fromarray(np.zeros((10, 14, 3), np.uint8)).save("in.png")
    options = ["--scale", "2.7", "--model", "models/imported", "--steps", "2", "--device", "cpu"]
    assert run("upscale", "in.png", "out.png", *options) == 0
    assert Image.open("out.png").size == (38, 27)

    assert run("export-checkpoint", "models/imported", "back.ckpt") == 0
    back = torch.load("back.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(back[name], tensor) for name, tensor in state.items())


def test_the_unet_is_put_on_another_first_stage(
    workspace: Path, state: dict[str, Tensor], capsys: pytest.CaptureFixture[str]
) -> None:
    first = {name.removeprefix("first_stage_model."): t for name, t in state.items() if "first_stage" in name}
    unet = {name: tensor for name, tensor in state.items() if "first_stage" not in name}
    torch.save(first, "first.pt")
    torch.save(unet, "unet.pt")
    assert run("import-checkpoint", "first.pt", "--preset", "small", "--to", "first") == 0
    assert capsys.readouterr().out == (
        "first: first stage\n"
        "It starts a training: autoencoder.init_from: first\n"
        "It takes a U-Net: arbiscale import-checkpoint UNET --first-stage first\n"
    )
    options = ["--preset", "small", "--to", "model"]
    assert run("import-checkpoint", "unet.pt", *options) == 2
    assert "holds a U-Net only" in capsys.readouterr().err
    assert run("import-checkpoint", "unet.pt", *options, "--first-stage", "nowhere") == 2
    assert "nowhere: no model there" in capsys.readouterr().err
    assert run("import-checkpoint", "unet.pt", *options, "--first-stage", "first") == 0
    assert run("export-checkpoint", "model", "back.pt") == 0


def test_what_does_not_fit_leaves_nothing(
    workspace: Path, state: dict[str, Tensor], capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(state, "published.pt")
    assert run("import-checkpoint", "published.pt", "--preset", "faces", "--to", "models/imported") == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "first_stage_model.encoder.0.conv_in.weight is (32, 3, 3, 3), not (128, 3, 3, 3)" in said
    assert not (workspace / "models").exists()


def test_a_folder_of_something_else_is_left_alone(
    workspace: Path, state: dict[str, Tensor], capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(state, "published.pt")
    assert run("import-checkpoint", "published.pt", "--preset", "small", "--to", ".") == 2
    assert capsys.readouterr().err == "error: .: holds files that are no model; name another folder\n"
    assert (workspace / "published.pt").exists()


def test_presets_are_known_ones(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("import-checkpoint", "a.pt", "--preset", "div2", "--to", "model") == 2
    assert "did you mean div2k?" in capsys.readouterr().err


def test_a_liif_needs_no_preset(
    workspace: Path, shared: Path, capsys: pytest.CaptureFixture[str], state: dict[str, Tensor]
) -> None:
    published = load_file(shared / "fixtures" / "liif_edsr.safetensors")
    weights = {name.removeprefix("weights."): t for name, t in published.items() if "weights." in name}
    torch.save({"model": {"name": "liif", "sd": weights}}, "liif.pth")
    assert run("import-checkpoint", "liif.pth", "--to", "models/liif") == 0
    assert capsys.readouterr().out == (
        "models/liif: LIIF, EDSR encoder of 2 blocks and 16 channels\nIt draws: --model models/liif\n"
    )
    Image.fromarray(np.zeros((10, 14, 3), np.uint8)).save("in.png")
    options = ["--scale", "2.7", "--model", "models/liif", "--device", "cpu"]
    assert run("upscale", "in.png", "out.png", *options) == 0
    assert Image.open("out.png").size == (38, 27)

    torch.save(state, "published.pt")
    assert run("import-checkpoint", "published.pt", "--to", "other") == 2
    assert "--preset NAME" in capsys.readouterr().err
    assert run("import-checkpoint", "liif.pth", "--to", "other", "--first-stage", "models/liif") == 2
    assert "--first-stage: needs" in capsys.readouterr().err
    assert not Path("other").exists()
