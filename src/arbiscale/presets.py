"""Presets: files of overrides, merged into params.yaml so that its comments and order stay.

`sample` holds a value for every key that any other preset changes, so applying it leads back.
"""

from __future__ import annotations

import difflib
import io
import json
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq
from ruamel.yaml.representer import RoundTripRepresenter

from arbiscale.config.params import Params
from arbiscale.config.section import flatten, read_yaml, validate
from arbiscale.errors import UserError
from arbiscale.files import atomic_file


@dataclass(frozen=True)
class Change:
    """One key of params.yaml whose value a preset changed."""

    key: str
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.key}: {_as_yaml(self.old)} -> {_as_yaml(self.new)}"


def list_presets(folder: Path) -> dict[str, str]:
    """The presets of a folder: each name with the comment on its file's first line."""
    return {
        path.stem: _first_comment(path) for path in sorted(folder.glob("*.yaml"), key=lambda path: path.stem)
    }


def find_preset(folder: Path, name: str) -> Path:
    """The file of a preset; raises UserError naming those there are."""
    names = list(list_presets(folder))
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(names) or 'none'}"
        raise UserError(f"{folder}: has no preset {name!r}; {hint}")
    return folder / f"{name}.yaml"


def apply_preset(params_path: Path, preset_path: Path) -> list[Change]:
    """Merge a preset's values into a params file, atomically, and return what changed.

    Raises:
        UserError: a key that params.yaml does not have, or values that together are not valid; the
            file is then left as it was.
    """
    before = read_yaml(params_path)
    _refuse_unknown(read_yaml(preset_path), before, preset_path)
    yaml = _round_trip_yaml()
    document = yaml.load(params_path.read_text(encoding="utf-8"))
    _merge(document, yaml.load(preset_path.read_text(encoding="utf-8")))
    text = io.StringIO()
    yaml.dump(document, text)

    after = YAML(typ="safe", pure=True).load(text.getvalue())
    validate(Params, after, f"{params_path} with {preset_path}")
    old, new = flatten(before), flatten(after)
    changes = [Change(key, old[key], new[key]) for key in new if old[key] != new[key]]
    if changes:
        with atomic_file(params_path) as temporary:
            temporary.write_text(text.getvalue(), encoding="utf-8")
    return changes


def _refuse_unknown(
    overrides: Mapping[str, Any], known: Mapping[str, Any], path: Path, prefix: str = ""
) -> None:
    """A preset changes values; it neither adds keys nor replaces a section by a value or the reverse."""
    for key, value in overrides.items():
        full_key = f"{prefix}{key}"
        if key not in known:
            close = difflib.get_close_matches(str(key), list(known), n=1)
            hint = f"did you mean {close[0]}?" if close else f"known keys: {', '.join(known)}"
            raise UserError(f"{path}: {full_key}: unknown key; {hint}")
        if isinstance(value, Mapping) != isinstance(known[key], Mapping):
            expected = "a section" if isinstance(known[key], Mapping) else "a value"
            raise UserError(f"{path}: {full_key}: must be {expected} (got {value!r})")
        if isinstance(value, Mapping):
            _refuse_unknown(value, known[key], path, f"{full_key}.")


def _merge(document: MutableMapping[str, Any], overrides: Mapping[str, Any]) -> None:
    """Put the overrides into a round-trip document; values that are equal keep their notation."""
    for key, value in overrides.items():
        if isinstance(value, Mapping):
            _merge(document[key], value)
        elif isinstance(value, CommentedSeq) and document[key] != value:
            document[key] = _with_notation_of(document[key], value)
        elif document[key] != value:
            document[key] = value


def _with_notation_of(old: Any, new: CommentedSeq) -> CommentedSeq:
    """A list as [1, 2] or as lines of items, with the comment that stood at the old one."""
    if isinstance(old, CommentedSeq) and old and new and not old.fa.flow_style():
        old.clear()
        old.extend(new)
        return old
    if isinstance(old, CommentedSeq):
        new.ca.comment = old.ca.comment
    new.fa.set_flow_style()
    return new


def _round_trip_yaml() -> YAML:
    """YAML that reads and writes a document with its comments, quotes and line breaks."""

    class Representer(RoundTripRepresenter):
        """As ruamel's, with null spelled out."""

    Representer.add_representer(
        type(None), lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    yaml = YAML()
    yaml.Representer = Representer
    yaml.preserve_quotes = True
    yaml.width = 4096
    return yaml


def _first_comment(path: Path) -> str:
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("#").strip() if first.startswith("#") else ""


def _as_yaml(value: Any) -> str:
    """A value as it would stand in the file: true, null, [1, 2], plain text."""
    return value if isinstance(value, str) and value else json.dumps(value)
