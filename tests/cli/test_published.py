"""import-checkpoint and export-checkpoint: from the published layout and back, by a preset."""

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
def workspace(workspace: Path) -> Path:
    """With a small published preset."""
    (workspace / "presets").mkdir()
    (workspace / "presets" / "small.yaml").write_text(SMALL)
    return workspace


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


def linf_layers(patch_px: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a published LINF's convolutions: EDSR-baseline, 256 hidden channels."""
    encoder = {"head.0": (64, 3, 3, 3), "body.16": (64, 64, 3, 3)}
    for block in range(16):
        encoder |= {f"body.{block}.body.{number}": (64, 64, 3, 3) for number in (0, 2)}
    layers = {"coef": (256, 64, 3, 3), "freq": (256, 64, 3, 3), "layers.0": (256, 1024, 1, 1)}
    layers |= {f"layers.{number}": (256, 256, 1, 1) for number in (2, 4)}
    layers["layers.6"] = (10 * 2 * 3 * patch_px**2, 256, 1, 1)
    return {f"encoder.{name}": shape for name, shape in encoder.items()} | layers


def linf_state(patch_px: int) -> dict[str, Tensor]:
    """A published LINF at its full size, with random weights that draw a little."""
    layers, state = linf_layers(patch_px), {}
    for name, shape in layers.items():
        state[f"{name}.weight"] = torch.randn(shape) / (shape[1] * shape[2] * shape[3]) ** 0.5 / 2
        state[f"{name}.bias"] = 0.01 * torch.randn(shape[0])
    dimensions = 3 * patch_px**2
    for name in (*(f"linears.{number}" for number in range(10)), "last"):
        state[f"imnet.{name}._weight"] = 1.5 * torch.linalg.qr(torch.randn(dimensions, dimensions))[0]
        state[f"imnet.{name}.bias"] = 0.01 * torch.randn(dimensions)
    mean = torch.tensor([0.4488, 0.4371, 0.4040])
    for name, colour in (("sub_mean", -mean), ("add_mean", mean)):
        state[f"encoder.{name}.weight"] = torch.eye(3)[..., None, None]
        state[f"encoder.{name}.bias"] = colour
    return state | {"phase.weight": torch.randn(128, 2)}


@pytest.mark.parametrize(
    ("patch_px", "parameters", "name"), [(1, 1_925_632, "LINF"), (3, 2_057_176, "LINF of 3x3 patches")]
)
def test_a_linf_at_full_size_upscales_a_photograph_and_returns(
    patch_px: int,
    parameters: int,
    name: str,
    tmp_path: Path,
    shared: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state = linf_state(patch_px)
    learnt = (tensor.numel() for key, tensor in state.items() if "_mean." not in key)
    assert sum(learnt) == parameters
    monkeypatch.chdir(tmp_path)
    torch.save({"model": {"sd": state}, "epoch": 1}, "linf.pth")
    assert run("import-checkpoint", "linf.pth", "--to", "linf") == 0
    assert capsys.readouterr().out == (
        f"linf: {name}, EDSR encoder of 16 blocks and 64 channels\nIt draws: --model linf\n"
    )
    photograph = Image.open(shared / "data" / "photos_cc0" / "beacon-street-sunset.jpg").convert("RGB")
    crop = photograph.crop((100, 100, 130, 120))
    crop.save("in.png")
    options = ["--scale", "3.3x2.7", "--model", "linf", "--device", "cpu"]
    assert run("upscale", "in.png", "out.png", *options) == 0
    drawn = Image.open("out.png")
    assert drawn.size == (81, 66)
    bilinear = crop.resize(drawn.size, Image.Resampling.BILINEAR)
    difference = np.asarray(drawn, np.float32) - np.asarray(bilinear, np.float32)
    assert 0.1 < np.abs(difference).mean() < 30

    assert run("export-checkpoint", "linf", "back.pth") == 0
    back = torch.load("back.pth", weights_only=True)["model"]["sd"]
    assert back.keys() == state.keys()
    assert all(torch.equal(back[key], tensor) for key, tensor in state.items())


def test_a_linf_that_does_not_fit_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    state = linf_state(1)
    del state["encoder.body.7.body.2.bias"]
    state["layers.6.weight"] = torch.zeros(54, 256, 1, 1)
    monkeypatch.chdir(tmp_path)
    torch.save({"model": {"sd": state}}, "linf.pth")
    assert run("import-checkpoint", "linf.pth", "--to", "models/linf") == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "1 missing: encoder.body.7.body.2.bias (64,)" in said
    assert "layers.6.weight is (54, 256, 1, 1), not (60, 256, 1, 1)" in said
    assert not Path("models").exists()
