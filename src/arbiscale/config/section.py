"""What every section of params.yaml shares: strict types, no unknown keys, errors that name the key."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from arbiscale.errors import UserError


class Section(BaseModel):
    """A part of the configuration: immutable, strictly typed, refusing unknown keys."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


SectionType = TypeVar("SectionType", bound=BaseModel)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML 1.2 mapping (where `1e-06` is a number, unlike in YAML 1.1).

    Raises:
        UserError: the file is missing, unreadable or not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
        loaded = YAML(typ="safe", pure=True).load(text)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run this inside an arbiscale project") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not UTF-8 text") from None
    except YAMLError as error:
        if re.search(r"^<{7} ", text, re.MULTILINE):
            raise UserError(f"{path}: holds a merge conflict of Git; resolve it") from None
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise UserError(f"{path}{where}: is not valid YAML ({problem})") from None
    if not isinstance(loaded, dict):
        raise UserError(f"{path}: must hold a mapping of sections")
    return loaded


def look_up(values: Mapping[str, Any], key: str, path: Path) -> Any:
    """The value at a dotted key such as `align.timesteps`; raises UserError when it is missing."""
    found: Any = values
    for part in key.split("."):
        if not isinstance(found, Mapping) or part not in found:
            raise UserError(f"{path}: {key}: is missing")
        found = found[part]
    return found


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one level of dotted keys (lists stay whole)."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def load_section(path: Path, key: str, section: type[SectionType]) -> SectionType:
    """Load and validate one section of a params file.

    Args:
        path: the params file.
        key: the dotted key of the section, e.g. `align.timesteps`.
        section: its type.

    Raises:
        UserError: naming every wrong key with its allowed range.
    """
    return validate(section, look_up(read_yaml(path), key, path), path, prefix=key)


def validate(section: type[SectionType], values: Any, path: Path | str, prefix: str = "") -> SectionType:
    """Turn plain values, read from `path`, into a section, reporting mistakes as one UserError."""
    try:
        return section.model_validate(values)
    except ValidationError as error:
        problems = [_describe(detail, section, prefix) for detail in error.errors()]
        raise UserError(f"{path}: " + "; ".join(problems)) from None


def _describe(detail: ErrorDetails, section: type[BaseModel], prefix: str) -> str:
    """A mistake as `key: what is wrong, the allowed range (the value found)`."""
    location = list(detail["loc"])
    key = ".".join([prefix] * bool(prefix) + [str(part) for part in location])
    kind = detail["type"]
    if kind == "extra_forbidden":
        siblings = _field_names(_annotation_at(section, location[:-1]))
        close = difflib.get_close_matches(str(location[-1]), siblings, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known keys: {', '.join(siblings)}"
        return f"{key}: unknown key; {hint}"
    if kind == "missing":
        return f"{key}: is missing"
    if kind == "value_error":
        return _join(key, str(detail["ctx"]["error"]), _field_names(_annotation_at(section, location)))
    return f"{key}: {_expectation(detail, _annotation_at(section, location))} (got {detail['input']!r})"


def _join(key: str, message: str, fields: list[str]) -> str:
    """A section's own message after its key; a message that starts with a field's name extends the key."""
    if not key:
        return message
    starts_with_field = re.split(r"[ .:]", message, maxsplit=1)[0] in fields
    return f"{key}.{message}" if starts_with_field else f"{key}: {message}"


_BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
_BOUND_ERRORS = {"greater_than_equal", "greater_than", "less_than_equal", "less_than"}
_NOUNS = {int: "an integer", float: "a number", bool: "true or false", str: "text"}


def _expectation(detail: ErrorDetails, annotation: Any) -> str:
    """What the key's type allows, e.g. `must be a number, above 0 and at most 1`."""
    plain, bounds = annotation, ""
    if get_origin(annotation) is Annotated:
        plain, *metadata = get_args(annotation)
        flat = [part for item in metadata for part in getattr(item, "metadata", [item])]
        named = [(word, getattr(part, name, None)) for part in flat for name, word in _BOUNDS.items()]
        bounds = " and ".join(f"{word} {bound}" for word, bound in named if bound is not None)
    if detail["type"] in _BOUND_ERRORS | {"finite_number"} or detail["type"].endswith("_type"):
        if isinstance(plain, type) and issubclass(plain, BaseModel):
            return f"must be a mapping of {', '.join(_field_names(plain))}"
        if plain in _NOUNS:
            return ", ".join(filter(None, [f"must be {_NOUNS[plain]}", bounds]))
    if detail["type"] == "string_pattern_mismatch" and (form := _form(annotation, detail["ctx"]["pattern"])):
        return f"must be {form}"
    message = re.sub(r"^(Input|String|List|Value) should ", "must ", detail["msg"])
    return re.sub(r" after validation, not \d+$", "", message)


def _form(annotation: Any, pattern: str) -> str:
    """What a text of this pattern looks like, in words: the description of the field that has it."""
    for part in get_args(annotation)[1:]:
        if any(getattr(rule, "pattern", None) == pattern for rule in getattr(part, "metadata", ())):
            return part.description or ""
    return ""


def _annotation_at(section: Any, location: Sequence[int | str]) -> Any:
    """The annotation (with its constraints, as Annotated) at a location inside a section."""
    current: Any = section
    for part in location:
        if isinstance(part, int):
            plain = get_args(current)[0] if get_origin(current) is Annotated else current
            current = next(iter(get_args(plain)), Any)
        elif isinstance(current, type) and issubclass(current, BaseModel):
            fields = {field.alias or name: field for name, field in current.model_fields.items()}
            if part not in fields:
                return Any
            field = fields[part]
            current = field.annotation
            for constraint in (*field.metadata, *[field] * bool(field.description)):
                current = Annotated[current, constraint]
    return current


def _field_names(annotation: Any) -> list[str]:
    """The keys of a section, as the file names them; none when it is not a section."""
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return []
    return [field.alias or name for name, field in annotation.model_fields.items()]
