"""Published configurations as this project's settings, and the settings that no published network has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arbiscale.config.autoencoder import AutoencoderNetworkSettings
from arbiscale.config.diffusion import DenoiserSettings, ProcessSettings
from arbiscale.config.local_implicit import LocalImplicitSettings
from arbiscale.config.section import Section, flatten, validate
from arbiscale.errors import UserError

NORM_GROUPS = 32  # of every published network
_FIRST_STAGE_ALWAYS = {
    "residual": False,
    "norm_groups": NORM_GROUPS,
    "encoder.unshuffle": 1,
    "branch.blocks": 0,
}
_UNET_ALWAYS = {"norm_groups": NORM_GROUPS, "middle_attention": True, "transformer_layers": 0}
_PROCESS_ALWAYS = {"kind": "diffusion", "prediction": "epsilon", "zero_terminal_snr": False}
_DDCONFIG_COVERED = {"in_channels": 3, "out_ch": 3, "resamp_with_conv": True, "use_linear_attn": False}
_LIIFCONFIG_COVERED = {"cell_decode": True, "local_ensemble": True, "feat_unfold": False, "out_dim": 3}
_UNET_CONFIG_COVERED = {
    "dims": 2,
    "conv_resample": True,
    "num_classes": None,
    "n_embed": None,
    "use_scale_shift_norm": False,
    "resblock_updown": False,
    "use_new_attention_order": False,
    "use_spatial_transformer": False,
    "disable_self_attentions": None,
    "num_attention_blocks": None,
}


def first_stage_settings(
    ddconfig: Mapping[str, Any], liifconfig: Mapping[str, Any]
) -> AutoencoderNetworkSettings:
    """This project's settings of a published first stage (dropout, used in training only, is left out).

    Raises:
        UserError: a configuration that this project's networks do not cover, naming the key.
    """
    _refuse_others(ddconfig, "ddconfig", _DDCONFIG_COVERED)
    _refuse_others(liifconfig, "liifconfig", _LIIFCONFIG_COVERED)
    _refuse_others(ddconfig, "ddconfig", {"attn_type": "vanilla" if _attends(ddconfig) else "none"})
    multipliers, hidden = list(ddconfig["ch_mult"]), liifconfig["hidden_list"]
    resolutions = {ddconfig["resolution"] // 2**level for level in range(len(multipliers))}
    if resolutions.intersection(ddconfig.get("attn_resolutions", [])):
        raise UserError(
            f"ddconfig: attn_resolutions {ddconfig['attn_resolutions']!r}: "
            "attention at a level is not covered, only in the middle"
        )
    if len(set(hidden)) != 1:
        raise UserError(f"liifconfig: hidden_list {hidden!r}: layers of different widths are not covered")
    levels = {
        "width": ddconfig["ch"],
        "multipliers": multipliers,
        "blocks": ddconfig["num_res_blocks"],
        "attention": _attends(ddconfig),
    }
    values = {
        "latent_channels": ddconfig["z_channels"],
        "posterior": "gaussian" if ddconfig.get("double_z", True) else "deterministic",
        "residual": False,
        "norm_groups": NORM_GROUPS,
        "encoder": {"unshuffle": 1, **levels},
        "decoder": levels,
        "head": {"width": hidden[0], "layers": len(hidden)},
    }
    return validate(AutoencoderNetworkSettings, values, "ddconfig, liifconfig")


def denoiser_settings(unet_config: Mapping[str, Any]) -> DenoiserSettings:
    """This project's settings of a published U-Net; attention at a factor that no level has is left out.

    Raises:
        UserError: a configuration that this project's network does not cover, naming the key.
    """
    _refuse_others(unet_config, "unet_config", _UNET_CONFIG_COVERED)
    if unet_config.get("num_head_channels", -1) == -1:
        raise UserError("unet_config: num_head_channels is missing: a number of heads is not covered")
    multipliers, blocks = list(unet_config["channel_mult"]), unet_config["num_res_blocks"]
    if not isinstance(blocks, int) and len(set(blocks)) != 1:
        raise UserError(f"unet_config: num_res_blocks {blocks!r}: levels of different depths are not covered")
    factors = {2**level for level in range(len(multipliers))}
    values = {
        "width": unet_config["model_channels"],
        "multipliers": multipliers,
        "blocks": blocks if isinstance(blocks, int) else blocks[0],
        "attention_factors": sorted(factors.intersection(unet_config["attention_resolutions"])),
        "middle_attention": True,
        "attention_width": unet_config["num_head_channels"],
        "norm_groups": NORM_GROUPS,
        "transformer_layers": 0,
    }
    return validate(DenoiserSettings, values, "unet_config")


def unpublished(
    autoencoder: AutoencoderNetworkSettings | None = None,
    denoiser: DenoiserSettings | None = None,
    process: ProcessSettings | None = None,
) -> list[str]:
    """The keys whose values no published network has, each with the published value."""
    found: list[str] = []
    if autoencoder is not None:
        keys = type(autoencoder.decoder).model_fields
        alike = {f"decoder.{key}": getattr(autoencoder.encoder, key) for key in keys}
        found += _others(autoencoder, "autoencoder.network", _FIRST_STAGE_ALWAYS | alike)
    if denoiser is not None:
        found += _others(denoiser, "diffusion.denoiser", _UNET_ALWAYS)
    if process is not None:
        found += _others(process, "diffusion.process", _PROCESS_ALWAYS)
    return found


def unpublished_local_implicit(settings: LocalImplicitSettings) -> list[str]:
    """The keys whose values no published LIIF or LINF has, each with the published value."""
    head = settings.head
    if head.kind == "liif":
        always: dict[str, Any] = {"encoder.kind": "edsr", "residual": False}
    else:
        always = {"head.kind": "flow", "head.width": 2 * head.frequencies, "residual": True}
    return _others(settings, "network", always)


def _others(section: Section, key: str, always: Mapping[str, Any]) -> list[str]:
    values = flatten(section.model_dump())
    return [
        f"{key}.{name}: {values[name]!r}, not {value!r}"
        for name, value in always.items()
        if values[name] != value
    ]


def _attends(ddconfig: Mapping[str, Any]) -> bool:
    return ddconfig.get("attn_type", "vanilla") != "none"


def _refuse_others(config: Mapping[str, Any], name: str, covered: Mapping[str, Any]) -> None:
    """Refuse other values than those covered of keys that are given."""
    for key, value in covered.items():
        if config.get(key, value) != value:
            raise UserError(f"{name}: {key} {config[key]!r} is not covered, only {value!r}")
