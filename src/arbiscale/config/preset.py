"""Presets: files of overrides, merged into params.yaml so that its comments and order stay.

The package ships presets (`presets/` beside this module); a project may have its own, which come first.
`extends: NAME` puts another preset below a preset's own values. `sample` holds a value for every key that
any shipped preset changes: applying it restores the original file, and a preset that extends it gives the
same result whichever preset was applied before.
"""

from __future__ import annotations

import difflib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.representer import RoundTripRepresenter

from arbiscale.config.params import Params
from arbiscale.config.section import flatten, read_yaml, validate
from arbiscale.errors import UserError
from arbiscale.files import atomic_file

EXTENDS = "extends"
SHIPPED = Path(str(files("arbiscale.config") / "presets"))


@dataclass(frozen=True)
class Change:
    """One key of params.yaml whose value a preset changed."""

    key: str
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.key}: {_as_yaml(self.old)} -> {_as_yaml(self.new)}"


def list_presets(own: Path | None = None) -> dict[str, str]:
    """Every preset's name with the comment on its file's first line.

    Args:
        own: the project's folder of presets, which may be missing.
    """
    return {name: _first_comment(path) for name, path in _presets(own).items()}


def find_preset(name: str, own: Path | None = None) -> Path:
    """The file of a preset: of the project's own folder, else a shipped one.

    Raises:
        UserError: no preset has this name; lists those that exist.
    """
    presets = _presets(own)
    if name not in presets:
        close = difflib.get_close_matches(name, presets, n=1)
        hint = f"did you mean {close[0]}?" if close else f"available: {', '.join(presets)}"
        raise UserError(f"preset {name!r}: does not exist; {hint}")
    return presets[name]


def _presets(own: Path | None) -> dict[str, Path]:
    found = (path for folder in (SHIPPED, own) if folder for path in folder.glob("*.yaml"))
    return dict(sorted({path.stem: path for path in found if path.is_file()}.items()))


def preset_values(path: Path) -> dict[str, Any]:
    """A preset's values over those that it extends: nested mappings in their files' notation.

    Raises:
        UserError: a file that cannot be read, an unknown preset to extend, or a circle of them.
    """
    yaml = _round_trip_yaml()
    values: dict[str, Any] = {}
    for file in _with_parents(path):
        values = _overlay(values, _own(yaml.load(file.read_text(encoding="utf-8"))))
    return values


def preview_preset(params_path: Path, preset_path: Path) -> Params:
    """The parameters with a preset applied; raises as `apply_preset` and writes nothing."""
    return _merged(params_path, preset_path)[1]


def apply_preset(params_path: Path, preset_path: Path) -> list[Change]:
    """Merge a preset's values into a params file, atomically, and return what changed.

    Raises:
        UserError: a key that params.yaml does not have, values that together are not valid, or a preset
            that `preset_values` refuses; the file is then left as it was.
    """
    text, _ = _merged(params_path, preset_path)
    old, new = flatten(read_yaml(params_path)), flatten(_plain(text))
    changes = [Change(key, old[key], new[key]) for key in new if old[key] != new[key]]
    if changes:
        with atomic_file(params_path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return changes


def _with_parents(path: Path) -> list[Path]:
    """A preset's file after those that it extends, the most general first."""
    files = [path]
    while (name := read_yaml(files[0]).get(EXTENDS)) is not None:
        try:
            parent = find_preset(str(name), path.parent)
        except UserError as error:
            raise UserError(f"{files[0]}: {EXTENDS}: {error}") from None
        if parent in files:
            circle = " -> ".join(file.stem for file in [*files[files.index(parent) :: -1], parent])
            raise UserError(f"{files[0]}: {EXTENDS}: leads back to itself ({circle})")
        files.insert(0, parent)
    return files


def _own(preset: Mapping[str, Any]) -> dict[str, Any]:
    """What a preset's file itself sets."""
    return {key: value for key, value in preset.items() if key != EXTENDS}


def _overlay(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings merged, the values above covering those below."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _overlay(merged[key], value) if both else value
    return merged


def _merged(params_path: Path, preset_path: Path) -> tuple[str, Params]:
    """A params file with a preset's values in it: as text, and validated."""
    known = read_yaml(params_path)
    for file in _with_parents(preset_path):
        _refuse_unknown(_own(read_yaml(file)), known, file)
    yaml = _round_trip_yaml()
    document = yaml.load(params_path.read_text(encoding="utf-8"))
    _merge(document, preset_values(preset_path))
    text = io.StringIO()
    yaml.dump(document, text)
    merged = validate(Params, _plain(text.getvalue()), f"{params_path} with {preset_path}")
    return text.getvalue(), merged


def _plain(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


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


def _merge(document: CommentedMap, overrides: Mapping[str, Any]) -> None:
    """Put the overrides into a round-trip document; values that are equal keep their notation."""
    for key, value in overrides.items():
        if isinstance(value, Mapping):
            _merge(document[key], value)
        elif isinstance(value, CommentedSeq) and document[key] != value:
            _replace_list(document, key, value)
        elif document[key] != value:
            document[key] = value


def _replace_list(section: CommentedMap, key: str, new: CommentedSeq) -> None:
    """Put a list in the old one's place, in its notation, [1, 2] or lines of items, and with its comment."""
    old = section[key]
    if isinstance(old, CommentedSeq) and old and new and not old.fa.flow_style():
        old.clear()
        old.extend(new)
        return
    new.ca.comment = None  # the preset's own
    if isinstance(old, CommentedSeq) and old.ca.comment:
        new.ca.comment = [old.ca.comment[0], None]
        section.ca.items.pop(key, None)  # as of lines of items, which would cost the next line break
    new.fa.set_flow_style()
    section[key] = new


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
    first = path.read_text(encoding="utf-8", errors="replace").partition("\n")[0]
    return first.removeprefix("#").strip() if first.startswith("#") else ""


def _as_yaml(value: Any) -> str:
    """A value as the file would show it: true, null, [1, 2], plain text."""
    return value if isinstance(value, str) and value else json.dumps(value)
