"""Published files become model folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.testing import assert_close

import arbiscale
from arbiscale.config.params import Params
from arbiscale.errors import UserError
from arbiscale.interop import load_denoiser, load_first_stage
from arbiscale.interop.first_stage_names import first_stage_pairs
from arbiscale.interop.importing import import_checkpoint
from arbiscale.interop.tensors import table_of, to_published
from arbiscale.models.folder import (
    AUTOENCODER,
    CONFIG,
    DENOISER,
    FirstStageConfig,
    load_latent_diffusion,
    read_config,
    save_autoencoder,
)
from arbiscale.networks.autoencoder import Autoencoder

if TYPE_CHECKING:
    from conftest import Published

State = dict[str, Tensor]
MakeParams = Callable[..., Params]


def saved(path: Path, state: State) -> Path:
    if path.suffix == ".safetensors":
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    else:
        torch.save({"state_dict": state, "global_step": 3}, path)
    return path


def latent_diffusions(first_stage: State) -> State:
    """The same first stage as latent diffusion's own autoencoders name it, with what they have besides."""
    prefixes = {
        "encoder.0.": "encoder.",
        "encoder.1.": "quant_conv.",
        "decoder.decoder.0.": "post_quant_conv.",
        "decoder.decoder.1.": "decoder.",
    }
    return {
        prefix + name.removeprefix(there): tensor
        for name, tensor in first_stage.items()
        for there, prefix in prefixes.items()
        if name.startswith(there)
    } | {
        name: torch.zeros(1)
        for name in (
            "decoder.up.1.upsample.conv.weight",
            "decoder.norm_out.weight",
            "decoder.conv_out.bias",
            "quantize.embedding.weight",
            "loss.perceptual_loss.lin0.model.1.weight",
        )
    }


@pytest.mark.parametrize("suffix", ["ckpt", "pt", "safetensors"])
def test_a_whole_model(tmp_path: Path, params: MakeParams, whole_state: State, suffix: str) -> None:
    source = saved(tmp_path / f"model.{suffix}", whole_state)
    settings = params()
    found = import_checkpoint(source, settings, tmp_path / "model")
    assert (found.head, found.unet, found.averages, found.latent_scale) == (True, True, True, 0.5)
    assert found.left_out["noise schedule"] == 3
    assert found.left_out["training losses"] == 1

    config = read_config(tmp_path / "model")
    assert config.diffusion is not None
    assert config.factor == 4
    assert config.diffusion.latent_scale == [0.5] * 3
    assert config.diffusion.latent_shift == [0.0] * 3
    assert config.diffusion.training_latent_px == 16
    assert config.sampling == settings.evaluate.sampling

    model = load_latent_diffusion(tmp_path / "model")
    weights = model.denoiser.network.conv_in.weight
    assert torch.equal(weights, whole_state["model_ema.diffusion_modelinput_blocks00weight"])
    norm = model.space.autoencoder.encoder.network.down_blocks[2].resnets[0].norm1.weight
    assert torch.equal(norm, whole_state["first_stage_model.encoder.0.down.2.block.0.norm1.weight"])


def test_it_upscales(tmp_path: Path, params: MakeParams, whole_state: State) -> None:
    import_checkpoint(saved(tmp_path / "model.ckpt", whole_state), params(), tmp_path / "model")
    model = arbiscale.load_model(tmp_path / "model", device="cpu")
    picture = torch.randint(0, 256, (9, 14, 3), dtype=torch.uint8).numpy()
    assert model.upscale(picture, scale=(2.7, 3.1), steps=2).shape == (24, 43, 3)


@torch.no_grad()
@pytest.mark.parametrize("published", ["first_stage_deterministic"], indirect=True)
def test_the_reference_first_stage_is_the_same_network(
    tmp_path: Path, params: MakeParams, published: Published
) -> None:
    import_checkpoint(saved(tmp_path / "a.ckpt", published.weights), params(), tmp_path / "model")
    model = arbiscale.load_model(tmp_path / "model", device="cpu")
    direct = load_first_stage(published.weights, **published.config)
    image = published.inputs["image"]
    latent = direct.encode(image).mode()
    assert_close(model.encode(image), latent, atol=1e-5, rtol=1e-5)
    assert_close(model.decode(latent, (37, 101)), direct.decode(latent, (37, 101)), atol=1e-4, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("published", ["unet_sr"], indirect=True)
def test_the_reference_unet_is_the_same_network(
    tmp_path: Path, params: MakeParams, published: Published, first_stage_state: State
) -> None:
    import_checkpoint(saved(tmp_path / "first.pt", first_stage_state), params(), tmp_path / "first")
    source = saved(tmp_path / "unet.pt", published.weights)
    import_checkpoint(source, params(), tmp_path / "model", first_stage=tmp_path / "first")
    denoiser = load_latent_diffusion(tmp_path / "model").denoiser
    inputs = [published.inputs[name] for name in ("noisy_latent", "timestep", "condition")]
    assert torch.equal(denoiser(*inputs), load_denoiser(published.weights, **published.config)(*inputs))


def test_a_first_stage_alone(tmp_path: Path, params: MakeParams, first_stage_state: State) -> None:
    found = import_checkpoint(saved(tmp_path / "a.pt", first_stage_state), params(), tmp_path / "model")
    assert (found.head, found.unet, found.averages, found.left_out) == (True, False, False, {})
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [AUTOENCODER, CONFIG]
    assert arbiscale.load_model(tmp_path / "model", device="cpu").task == "reconstruction"


def test_without_averages_the_weights_are_taken(
    tmp_path: Path, params: MakeParams, whole_state: State
) -> None:
    state = {name: tensor for name, tensor in whole_state.items() if "model_ema" not in name}
    del state["scale_factor"]
    found = import_checkpoint(saved(tmp_path / "a.ckpt", state), params(), tmp_path / "model")
    assert (found.averages, found.latent_scale) == (False, None)
    config = read_config(tmp_path / "model")
    assert config.diffusion is not None
    assert config.diffusion.latent_scale == [1.0] * 3
    bias = load_file(tmp_path / "model" / DENOISER)["network.conv_out.bias"]
    assert torch.equal(bias, state["model.diffusion_model.out.2.bias"])


@pytest.mark.parametrize("root", ["", "first_stage_model."], ids=["alone", "inside a model"])
def test_latent_diffusions_first_stages_have_no_head(
    tmp_path: Path, params: MakeParams, first_stage_state: State, unet_state: State, root: str
) -> None:
    theirs = latent_diffusions(first_stage_state)
    state = {root + name: tensor for name, tensor in theirs.items()}
    if root:
        state |= {f"model.diffusion_model.{name}": tensor for name, tensor in unet_state.items()}
    found = import_checkpoint(saved(tmp_path / "a.ckpt", state), params(), tmp_path / "model")
    assert (found.head, found.unet) == (False, bool(root))
    assert found.left_out == {
        "upsampling and output of the decoder": 3,
        "vector quantisation": 1,
        "training losses": 1,
    }
    own = load_file(tmp_path / "model" / AUTOENCODER)
    assert not any(name.startswith("decoder.head.") for name in own)
    assert torch.equal(own["encoder.to_moments.weight"], theirs["quant_conv.weight"])
    assert torch.equal(own["decoder.feature_decoder.stem.bias"], theirs["decoder.conv_in.bias"])
    finest = theirs["decoder.up.0.block.1.conv2.weight"]
    assert torch.equal(own["decoder.feature_decoder.levels.2.resnets.1.conv2.weight"], finest)
    with pytest.raises(UserError, match=r"has no implicit head.* autoencoder.init_from: .*/model"):
        arbiscale.load_model(tmp_path / "model", device="cpu")


def test_kl_f8(tmp_path: Path, params: MakeParams) -> None:
    levels = {"width": 32, "multipliers": [1, 1, 2, 2], "blocks": 1}
    network = {"latent_channels": 4, "posterior": "gaussian", "encoder": levels, "decoder": levels}
    settings = params(data={"factor": 8}, autoencoder={"network": network})
    autoencoder = Autoencoder(settings.autoencoder.network)
    table = table_of(autoencoder, first_stage_pairs(autoencoder.settings))
    theirs = latent_diffusions(to_published(table, autoencoder.state_dict()))
    assert theirs["quant_conv.weight"].shape == (8, 8, 1, 1)
    assert theirs["post_quant_conv.weight"].shape == (4, 4, 1, 1)
    import_checkpoint(saved(tmp_path / "kl-f8.ckpt", theirs), settings, tmp_path / "model")
    own = load_file(tmp_path / "model" / AUTOENCODER)
    state = autoencoder.state_dict()
    assert own.keys() == state.keys() - autoencoder.missing_allowed
    assert all(torch.equal(tensor, state[name]) for name, tensor in own.items())


def test_a_unet_goes_behind_a_folders_first_stage(
    tmp_path: Path, params: MakeParams, unet_state: State, first_stage_state: State
) -> None:
    source = saved(tmp_path / "unet.ckpt", {f"model.diffusion_model.{n}": t for n, t in unet_state.items()})
    import_checkpoint(saved(tmp_path / "first.pt", first_stage_state), params(), tmp_path / "first")
    import_checkpoint(source, params(), tmp_path / "model", first_stage=tmp_path / "first")
    load_latent_diffusion(tmp_path / "model")
    assert (tmp_path / "model" / AUTOENCODER).read_bytes() == (tmp_path / "first" / AUTOENCODER).read_bytes()


def test_another_first_stage_replaces_the_files(
    tmp_path: Path, params: MakeParams, first_stage_state: State, whole_state: State
) -> None:
    import_checkpoint(saved(tmp_path / "first.pt", first_stage_state), params(), tmp_path / "first")
    changed = {name: t + 1 if name.startswith("first_stage_model.") else t for name, t in whole_state.items()}
    source = saved(tmp_path / "model.ckpt", changed)
    found = import_checkpoint(source, params(), tmp_path / "model", first_stage=tmp_path / "first")
    assert found.left_out["first stage that another replaces"] == len(first_stage_state) + 1
    bias = load_file(tmp_path / "model" / AUTOENCODER)["encoder.to_moments.bias"]
    assert torch.equal(bias, first_stage_state["encoder.1.bias"])


def test_the_other_first_stage_need_not_be_a_published_one(
    tmp_path: Path, params: MakeParams, whole_state: State
) -> None:
    settings = params(
        autoencoder={"network": {"residual": True, "head": {"kind": "liif", "layers": 2}}}
    ).autoencoder.network
    save_autoencoder(
        tmp_path / "own", FirstStageConfig(factor=4, autoencoder=settings), Autoencoder(settings)
    )
    source = saved(tmp_path / "model.ckpt", whole_state)
    import_checkpoint(source, params(), tmp_path / "model", first_stage=tmp_path / "own")
    assert read_config(tmp_path / "model").autoencoder == settings
    model = arbiscale.load_model(tmp_path / "model", device="cpu")
    picture = torch.randint(0, 256, (8, 8, 3), dtype=torch.uint8).numpy()
    assert model.upscale(picture, size=(11, 17), steps=1).shape == (11, 17, 3)


def test_the_conditions_encoder_may_be_the_first_stage_again(
    tmp_path: Path, params: MakeParams, whole_state: State, condition_state: State
) -> None:
    found = import_checkpoint(
        saved(tmp_path / "a.ckpt", whole_state | condition_state), params(), tmp_path / "model"
    )
    assert found.left_out["copy of the first stage for the condition"] == len(condition_state)


def test_a_model_folder_is_replaced_as_a_whole(
    tmp_path: Path, params: MakeParams, whole_state: State, first_stage_state: State
) -> None:
    import_checkpoint(saved(tmp_path / "a.ckpt", whole_state), params(), tmp_path / "model")
    import_checkpoint(saved(tmp_path / "b.pt", first_stage_state), params(), tmp_path / "model")
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [AUTOENCODER, CONFIG]
    assert read_config(tmp_path / "model").diffusion is None
