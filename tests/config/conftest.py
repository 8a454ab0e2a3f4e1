"""The shipped params.yaml with one value changed, and what is said of it."""

import copy
from pathlib import Path
from typing import Any

import pytest

from arbiscale.config.params import Params
from arbiscale.config.section import read_yaml, validate
from arbiscale.errors import UserError

PARAMS = Path(__file__).parents[2] / "params.yaml"
VALUES = read_yaml(PARAMS)


def changed(key: str, value: Any) -> dict[str, Any]:
    """The shipped values with one of them replaced."""
    values = copy.deepcopy(VALUES)
    *parents, name = key.split(".")
    inner = values
    for parent in parents:
        inner = inner[parent]
    inner[name] = value
    return values


def complaint(values: Any) -> str:
    """What is said about wrong values."""
    with pytest.raises(UserError) as error:
        validate(Params, values, PARAMS)
    assert "\n" not in str(error.value)
    return str(error.value).removeprefix(f"{PARAMS}: ")
