"""What does not fit is named in one line, and then nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from arbiscale.config.params import Params
from arbiscale.errors import UserError
from arbiscale.interop.importing import import_checkpoint

State = dict[str, Tensor]
MakeParams = Callable[..., Params]


def saved(folder: Path, state: State) -> Path:
    torch.save(state, folder / "published.ckpt")
    return folder / "published.ckpt"


def complaint(source: Path, params: Params, to: Path, **keywords: Path) -> str:
    """The error of an import, which leaves nothing behind."""
    before = sorted(to.parent.iterdir())
    with pytest.raises(UserError) as caught:
        import_checkpoint(source, params, to, **keywords)
    assert sorted(to.parent.iterdir()) == before
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{source}: ")


def test_a_unet_needs_a_first_stage(tmp_path: Path, params: MakeParams, unet_state: State) -> None:
    source = saved(tmp_path, {f"model.diffusion_model.{name}": each for name, each in unet_state.items()})
    assert complaint(source, params(), tmp_path / "model") == (
        "holds a U-Net only; name a model folder that has its first stage: --first-stage DIR"
    )


def test_a_first_stage_alone_goes_behind_no_other(
    tmp_path: Path, params: MakeParams, first_stage_state: State
) -> None:
    source = saved(tmp_path, first_stage_state)
    import_checkpoint(source, params(), tmp_path / "first")
    said = complaint(source, params(), tmp_path / "model", first_stage=tmp_path / "first")
    assert said.startswith("holds no U-Net")


def test_what_does_not_fit_is_named_with_both_shapes(
    tmp_path: Path, params: MakeParams, whole_state: State
) -> None:
    state = dict(whole_state)
    del state["first_stage_model.decoder.inr.imnet.layers.2.bias"]
    del state["model_ema.diffusion_modelout2bias"]
    state["first_stage_model.encoder.1.bias"] = torch.zeros(6)
    state["model.diffusion_model.label_emb.weight"] = torch.zeros(4, 4)
    state["cond_stage_model.transformer.weight"] = torch.zeros(1)
    said = complaint(saved(tmp_path, state), params(), tmp_path / "model")
    assert said == (
        "does not fit the preset: "
        "2 missing: first_stage_model.decoder.inr.imnet.layers.2.bias (64,), "
        "model.diffusion_model.out.2.bias (3,); "
        "2 unexpected: cond_stage_model.transformer.weight, model.diffusion_model.label_emb.weight; "
        "1 misshapen: first_stage_model.encoder.1.bias is (6,), not (3,)"
    )


def test_another_noise_schedule_is_refused(tmp_path: Path, params: MakeParams, whole_state: State) -> None:
    source = saved(tmp_path, whole_state)
    other = params(diffusion={"process": {"beta_end": 0.0195}})
    assert complaint(source, other, tmp_path / "model") == (
        "its noise schedule differs: 1000 timesteps, betas of 0.0015 to 0.0155; "
        "diffusion.process has 1000, 0.0015 to 0.0195"
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"autoencoder": {"network": {"residual": True}}}, "autoencoder.network.residual: True, not False"),
        (
            {"autoencoder": {"network": {"norm_groups": 16}}},
            "autoencoder.network.norm_groups: 16, not 32",
        ),
        ({"diffusion": {"process": {"prediction": "v"}}}, "diffusion.process.prediction: 'v', not 'epsilon'"),
        ({"diffusion": {"denoiser": {"norm_groups": 8}}}, "diffusion.denoiser.norm_groups: 8, not 32"),
    ],
)
def test_settings_that_weights_do_not_show_must_be_published_ones(
    tmp_path: Path, params: MakeParams, whole_state: State, changes: dict[str, object], said: str
) -> None:
    source = saved(tmp_path, whole_state)
    assert complaint(source, params(**changes), tmp_path / "model") == (
        f"--preset: no published network has {said}; choose a published preset"
    )


def test_a_file_of_something_else(tmp_path: Path, params: MakeParams) -> None:
    source = saved(tmp_path, {"layer.weight": torch.zeros(1)})
    assert complaint(source, params(), tmp_path / "model") == (
        "holds no first stage and no U-Net under published names, but layer.weight, ..."
    )


def test_a_conditions_encoder_of_its_own_has_no_place(
    tmp_path: Path, params: MakeParams, whole_state: State, condition_state: State
) -> None:
    changed = condition_state | {"cond_stage_model.encoder.1.bias": torch.ones(3)}
    said = complaint(saved(tmp_path, whole_state | changed), params(), tmp_path / "model")
    assert said == "does not fit the preset: 1 unexpected: cond_stage_model.encoder.1.bias"
