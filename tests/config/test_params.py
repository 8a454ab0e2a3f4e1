"""The shipped params.yaml is valid; each of its keys has a type and a range, and is needed and known."""

import copy
from typing import Any

import pytest
from pydantic import BaseModel

from arbiscale.config.params import Params, load_params
from arbiscale.config.section import flatten, validate

from .conftest import PARAMS, VALUES, changed, complaint

LEAVES = sorted(flatten(VALUES))


def sections(values: dict[str, Any], prefix: str = "") -> list[str]:
    """The dotted keys of all sections."""
    found = []
    for key, value in values.items():
        if isinstance(value, dict):
            found += [f"{prefix}{key}", *sections(value, f"{prefix}{key}.")]
    return found


def test_the_shipped_params_are_valid() -> None:
    assert load_params(PARAMS).model_dump(by_alias=True) == VALUES


@pytest.mark.parametrize("key", LEAVES)
def test_a_value_of_a_wrong_type_is_refused(key: str) -> None:
    assert complaint(changed(key, {"no": "section"})).startswith(f"{key}: must be ")


NULLABLE = (
    "data.s3.endpoint_url",
    "runtime.workers",
    *(f"baselines.{name}.network.largest_scale" for name in ("liif", "linf")),
)


@pytest.mark.parametrize("key", [key for key in LEAVES if key not in NULLABLE])
def test_nothing_is_refused(key: str) -> None:
    assert complaint(changed(key, None)).startswith(f"{key}: must be ")


def strings() -> list[str]:
    return [key for key, value in flatten(VALUES).items() if isinstance(value, str)]


@pytest.mark.parametrize("key", [key for key in LEAVES if key not in strings()])
def test_text_is_no_number(key: str) -> None:
    if key != "data.s3.endpoint_url":
        assert "(got '1e-3')" in complaint(changed(key, "1e-3"))


def without(key: str) -> dict[str, Any]:
    """The shipped values without one of them."""
    values = copy.deepcopy(VALUES)
    *parents, name = key.split(".")
    inner = values
    for parent in parents:
        inner = inner[parent]
    del inner[name]
    return values


# What older files, and older model folders, mean by its absence
HEAD = {"kind": "liif", "frequencies": 32, "flow_layers": 10, "patch_px": 1, "blend_patches": True}
HEADS = ("autoencoder.network.head", "baselines.liif.network.head", "baselines.linf.network.head")
ADDED_LATER = {
    "data.store": "auto",
    "data.shards": "",
    "data.crop.shapes": [],
    "runtime.ray_address": "",
    **{f"{head}.{key}": value for head in HEADS[:2] for key, value in HEAD.items()},
    **{f"{HEADS[2]}.{key}": value for key, value in HEAD.items() if key != "kind"},
    **{f"baselines.{name}.network.encoder.growth": 32 for name in ("liif", "linf")},
    **{f"baselines.{name}.network.largest_scale": None for name in ("liif", "linf")},
    "autoencoder.network.branch.width": 48,
    "autoencoder.network.branch.blocks": 0,
    "diffusion.denoiser.transformer_layers": 0,
    "diffusion.process.kind": "diffusion",
    "diffusion.process.start_noise": 0.1,
    "diffusion.cache_latents": 0,
    "align.samples.sampling.sampler": "ddim",
    "evaluate.sampling.sampler": "ddim",
    "evaluate.split": "test",
    "register.gate.against": "bicubic",
    "register.gate.first_regression": [],
    "data.degradation": "bicubic",
    **{f"data.realistic.{key}": value for key, value in flatten(VALUES["data"]["realistic"]).items()},
    "evaluate.no_reference": [],
    "evaluate.patch_fid_px": 0,
}


@pytest.mark.parametrize("key", [key for key in LEAVES if key not in {*ADDED_LATER, f"{HEADS[2]}.kind"}])
def test_every_key_is_needed(key: str) -> None:
    assert complaint(without(key)) == f"{key}: is missing"


@pytest.mark.parametrize("key", ADDED_LATER)
def test_keys_added_later_may_be_missing(key: str) -> None:
    values = without(key)
    values["autoencoder"]["latent_dropout"] = 0.0  # older files know no branch and no flow
    if key != "diffusion.process.kind":
        values["diffusion"]["process"]["kind"] = "diffusion"
    loaded = validate(Params, values, PARAMS).model_dump(by_alias=True)
    assert flatten(loaded)[key] == ADDED_LATER[key]


@pytest.mark.parametrize("section", ["", *sections(VALUES)])
def test_unknown_keys_are_refused_at_every_level(section: str) -> None:
    key = f"{section}.qqqq".lstrip(".")
    assert complaint(changed(key, 1)).startswith(f"{key}: unknown key; known keys: ")


@pytest.mark.parametrize("section", sections(VALUES))
def test_a_section_is_no_value(section: str) -> None:
    assert complaint(changed(section, 3)).startswith(f"{section}: must be a mapping of ")


@pytest.mark.parametrize("key", [key for key, value in flatten(VALUES).items() if isinstance(value, float)])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_are_finite(key: str, value: float) -> None:
    assert complaint(changed(key, value)).startswith(f"{key}: must be a number")


@pytest.mark.parametrize(
    "key", [key for key, value in flatten(VALUES).items() if type(value) in (int, float) and key != "seed"]
)
def test_no_number_may_be_negative(key: str) -> None:
    value = type(flatten(VALUES)[key])(-1)
    assert f"(got {value!r})" in complaint(changed(key, value))


@pytest.mark.parametrize(
    "key",
    [key for key, value in flatten(VALUES).items() if type(value) is int and not key.endswith("patch_px")],
)
def test_counts_are_whole(key: str) -> None:
    assert complaint(changed(key, 1.5)).startswith(f"{key}: must be an integer")


def unbounded(section: type[BaseModel], prefix: str = "") -> list[str]:
    """Keys of numbers, or lists of numbers, without a bound."""
    found = []
    for name, field in section.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            found += unbounded(annotation, f"{prefix}{name}.")
        elif annotation in (int, float, list[int], list[float]) and not (
            field.metadata and annotation in (int, float)
        ):
            found.append(f"{prefix}{name}")
    return found


def test_every_number_has_a_range() -> None:
    checked_against_other_keys = ["autoencoder.target_px", "diffusion.denoiser.attention_factors"]
    assert unbounded(Params) == checked_against_other_keys
