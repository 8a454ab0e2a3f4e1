"""Published configurations become settings; what this project's networks do not cover is refused by key."""

from typing import Any

import pytest

from arbiscale.config.autoencoder import HeadSettings
from arbiscale.errors import UserError
from arbiscale.interop.configurations import denoiser_settings, first_stage_settings, unpublished

DDCONFIG: dict[str, Any] = {  # of the faces 16 -> 128
    "double_z": True,
    "z_channels": 32,
    "resolution": 128,
    "in_channels": 3,
    "out_ch": 3,
    "ch": 128,
    "ch_mult": [1, 2, 4],
    "num_res_blocks": 2,
    "attn_resolutions": [16],  # no level has it
    "dropout": 0.0,
}
LIIFCONFIG: dict[str, Any] = {"hidden_list": [256] * 4, "cell_decode": True, "local_ensemble": True}
UNET_CONFIG: dict[str, Any] = {  # of DIV2K
    "image_size": 48,
    "in_channels": 6,
    "out_channels": 3,
    "model_channels": 160,
    "attention_resolutions": [16, 8],  # no level has 16
    "num_res_blocks": 2,
    "channel_mult": [1, 2, 2, 4],
    "num_head_channels": 32,
}


def test_the_published_first_stage() -> None:
    levels = {"width": 128, "multipliers": [1, 2, 4], "blocks": 2, "attention": True}
    assert first_stage_settings(DDCONFIG, LIIFCONFIG).model_dump() == {
        "latent_channels": 32,
        "posterior": "gaussian",
        "residual": False,
        "norm_groups": 32,
        "encoder": {"unshuffle": 1, **levels},
        "decoder": levels,
        "branch": {"width": 48, "blocks": 0},
        "head": HeadSettings(kind="liif", width=256, layers=4).model_dump(),
    }


def test_a_first_stage_may_be_deterministic_and_without_attention() -> None:
    settings = first_stage_settings(DDCONFIG | {"double_z": False, "attn_type": "none"}, LIIFCONFIG)
    assert settings.posterior == "deterministic"
    assert not settings.encoder.attention
    assert not settings.decoder.attention


def test_the_published_unet() -> None:
    settings = denoiser_settings(UNET_CONFIG)
    assert settings.model_dump() == {
        "width": 160,
        "multipliers": [1, 2, 2, 4],
        "blocks": 2,
        "attention_factors": [8],
        "middle_attention": True,
        "attention_width": 32,
        "norm_groups": 32,
        "transformer_layers": 0,
    }
    assert denoiser_settings(UNET_CONFIG | {"num_res_blocks": [2, 2, 2, 2]}) == settings


@pytest.mark.parametrize(
    ("ddconfig", "liifconfig", "said"),
    [
        (
            {"attn_resolutions": [32]},
            {},
            "ddconfig: attn_resolutions [32]: attention at a level is not covered",
        ),
        ({"attn_type": "linear"}, {}, "ddconfig: attn_type 'linear' is not covered, only 'vanilla'"),
        ({"in_channels": 1}, {}, "ddconfig: in_channels 1 is not covered, only 3"),
        ({"ch": 100}, {}, "must be a multiple of norm_groups (32)"),
        ({}, {"cell_decode": False}, "liifconfig: cell_decode False is not covered, only True"),
        ({}, {"feat_unfold": True}, "liifconfig: feat_unfold True is not covered, only False"),
        ({}, {"hidden_list": [256, 128]}, "hidden_list [256, 128]: layers of different widths"),
    ],
)
def test_other_first_stages_are_refused(
    ddconfig: dict[str, Any], liifconfig: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError) as caught:
        first_stage_settings(DDCONFIG | ddconfig, LIIFCONFIG | liifconfig)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"use_scale_shift_norm": True}, "unet_config: use_scale_shift_norm True is not covered, only False"),
        ({"num_classes": 10}, "unet_config: num_classes 10 is not covered, only None"),
        ({"num_head_channels": -1}, "unet_config: num_head_channels is missing"),
        ({"num_res_blocks": [1, 2, 2, 2]}, "num_res_blocks [1, 2, 2, 2]: levels of different depths"),
    ],
)
def test_other_unets_are_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as caught:
        denoiser_settings(UNET_CONFIG | change)
    assert said in str(caught.value)


def test_what_was_never_published_is_named() -> None:
    autoencoder, denoiser = first_stage_settings(DDCONFIG, LIIFCONFIG), denoiser_settings(UNET_CONFIG)
    assert unpublished(autoencoder, denoiser) == []
    assert unpublished(autoencoder, None) == []
    changed = autoencoder.model_copy(
        update={"residual": True, "decoder": autoencoder.decoder.model_copy(update={"width": 64})}
    )
    assert unpublished(changed, denoiser.model_copy(update={"middle_attention": False})) == [
        "autoencoder.network.residual: True, not False",
        "autoencoder.network.decoder.width: 64, not 128",
        "diffusion.denoiser.middle_attention: False, not True",
    ]
