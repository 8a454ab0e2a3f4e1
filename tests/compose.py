"""The team's compose.yaml, read as Docker reads it: without containers its commands run as they stand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

FOLDER = Path(__file__).parents[1] / "docs" / "team"
FILE, EXAMPLE = FOLDER / "compose.yaml", FOLDER / ".env.example"
VARIABLE = re.compile(r"\$(?:\$|\{(\w+)(?:(:-|:\?)([^}]*))?\})")


def example() -> dict[str, str]:
    """The variables of .env.example."""
    lines = [line for line in EXAMPLE.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def services(variables: Mapping[str, str]) -> dict[str, Any]:
    """The services, with variables put in.

    Raises:
        KeyError: one that must be given is missing or empty.
    """
    return filled(YAML(typ="safe").load(FILE)["services"], variables)


def filled(value: Any, variables: Mapping[str, str]) -> Any:
    """What stands in the file, with variables put in: ${NAME}, ${NAME:-default}, ${NAME:?why}, $$."""
    if isinstance(value, dict):
        return {key: filled(each, variables) for key, each in value.items()}
    if isinstance(value, list):
        return [filled(each, variables) for each in value]
    if not isinstance(value, str):
        return value

    def put_in(match: re.Match[str]) -> str:
        name, rule, text = match.groups()
        if name is None:
            return "$"
        given = variables.get(name, "")
        if not given and rule == ":?":
            raise KeyError(f"{name} {text}")
        return given or (text if rule == ":-" else "")

    return VARIABLE.sub(put_in, value)
