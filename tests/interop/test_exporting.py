"""Model folders go back to the published layout, to the bit; what was never published is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from arbiscale.config.params import Params
from arbiscale.errors import UserError
from arbiscale.interop.checkpoint_file import read_state
from arbiscale.interop.exporting import export_checkpoint
from arbiscale.interop.importing import import_checkpoint
from arbiscale.models.folder import CONFIG

State = dict[str, Tensor]
MakeParams = Callable[..., Params]


def imported(folder: Path, params: Params, state: State) -> Path:
    torch.save({"state_dict": state}, folder / "source.ckpt")
    import_checkpoint(folder / "source.ckpt", params, folder / "model")
    return folder / "model"


def equal(found: State, expected: State) -> bool:
    return found.keys() == expected.keys() and all(
        torch.equal(found[name], expected[name]) for name in expected
    )


def networks(state: State, *, averages: bool) -> State:
    """The tensors of both networks and the scale; with averages in the place of the U-Net's weights."""
    kept = {
        name: t for name, t in state.items() if name.startswith("first_stage_model.") and "loss" not in name
    }
    for name in state:
        if name.startswith("model.diffusion_model."):
            shadow = "model_ema." + name.removeprefix("model.").replace(".", "")
            kept[name] = state[shadow]
            if averages:
                kept[shadow] = state[shadow]
    return kept | {"scale_factor": state["scale_factor"]}


def test_a_model_returns_with_its_averages(tmp_path: Path, params: MakeParams, whole_state: State) -> None:
    export_checkpoint(imported(tmp_path, params(), whole_state), tmp_path / "back.ckpt")
    assert list(torch.load(tmp_path / "back.ckpt", weights_only=True)) == ["state_dict"]
    assert equal(read_state(tmp_path / "back.ckpt"), networks(whole_state, averages=True))


def test_averages_cost_no_space(tmp_path: Path, params: MakeParams, whole_state: State) -> None:
    folder = imported(tmp_path, params(), whole_state)
    export_checkpoint(folder, tmp_path / "back.ckpt")
    export_checkpoint(folder, tmp_path / "back.safetensors")
    assert equal(load_file(tmp_path / "back.safetensors"), networks(whole_state, averages=False))
    sizes = [(tmp_path / f"back.{suffix}").stat().st_size for suffix in ("ckpt", "safetensors")]
    assert sizes[0] < 1.3 * sizes[1]


def test_a_first_stage_returns(tmp_path: Path, params: MakeParams, first_stage_state: State) -> None:
    export_checkpoint(imported(tmp_path, params(), first_stage_state), tmp_path / "back.pt")
    assert equal(read_state(tmp_path / "back.pt"), first_stage_state)


def test_an_exported_model_is_imported_as_it_was(
    tmp_path: Path, params: MakeParams, whole_state: State
) -> None:
    folder = imported(tmp_path, params(), whole_state)
    export_checkpoint(folder, tmp_path / "back.ckpt")
    import_checkpoint(tmp_path / "back.ckpt", params(), tmp_path / "again")
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"unshuffle": 1', '"unshuffle": 2', "autoencoder.network.encoder.unshuffle: 2, not 1"),
        ('"residual": false', '"residual": true', "autoencoder.network.residual: True, not False"),
        ('"prediction": "epsilon"', '"prediction": "v"', "diffusion.process.prediction: 'v', not 'epsilon'"),
        (
            '"latent_scale": [\n      0.5,',
            '"latent_scale": [\n      0.7,',
            "latent_normalization: per_channel",
        ),
    ],
)
def test_what_was_never_published_stays(
    tmp_path: Path, params: MakeParams, whole_state: State, old: str, new: str, said: str
) -> None:
    config = imported(tmp_path, params(), whole_state) / CONFIG
    assert old in config.read_text()
    config.write_text(config.read_text().replace(old, new))
    with pytest.raises(UserError, match="model: the published code does not support ") as caught:
        export_checkpoint(tmp_path / "model", tmp_path / "back.ckpt")
    assert said in str(caught.value)
    assert not (tmp_path / "back.ckpt").exists()


def test_a_suffix_names_the_format(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"back.bin: must end in one of .ckpt, .pt, .pth, .safetensors"):
        export_checkpoint(tmp_path, tmp_path / "back.bin")


def test_no_model_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a model folder"):
        export_checkpoint(tmp_path, tmp_path / "back.ckpt")
    assert list(tmp_path.iterdir()) == []
