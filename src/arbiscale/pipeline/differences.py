"""What a run's parameters differ in from those that are committed: its name and its note."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from arbiscale.config.section import flatten, read_yaml
from arbiscale.pipeline.fingerprint import definitions
from arbiscale.tracking.environment import committed

_SHOWN = 3  # differences in a name
_PARAMS = "params.yaml"


def changed_parameters(folder: Path, commit: str, stage: str) -> dict[str, tuple[Any, Any]]:
    """Parameters of a stage and of those before it that differ from a commit's: (there, here) by dotted key.

    Empty where the commit has no params.yaml, or one that cannot be read.
    """
    text = committed(folder, commit, _PARAMS)
    try:
        before = flatten(YAML(typ="safe", pure=True).load(text)) if text else {}
    except (YAMLError, AttributeError):
        before = {}
    if not before:
        return {}
    after = flatten(read_yaml(folder / _PARAMS))
    tracked = _tracked_up_to(folder, stage)
    return {
        key: (before.get(key), after.get(key))
        for key in [*after, *(key for key in before if key not in after)]
        if before.get(key) != after.get(key)
        and any(key == each or key.startswith(f"{each}.") for each in tracked)
    }


def _tracked_up_to(folder: Path, stage: str) -> set[str]:
    """The keys that a stage and everything before it track."""
    known = definitions(folder)
    makers = {path: name for name, definition in known.items() for path in _outputs(definition)}
    found: set[str] = set()
    seen: set[str] = set()
    todo = [stage]
    while todo:
        name = todo.pop()
        if name in seen or name not in known:
            continue
        seen.add(name)
        found |= {
            each for each in known[name].get("params", []) if isinstance(each, str)
        }  # else of other files
        deps = known[name].get("deps", [])
        todo += [
            maker
            for path, maker in makers.items()
            if any(path == dep or path.startswith(f"{dep}/") for dep in deps)
        ]
    return found


def _outputs(definition: dict[str, Any]) -> list[str]:
    entries = [*definition.get("outs", []), *definition.get("metrics", [])]
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]


def run_name(stage: str, changed: dict[str, tuple[Any, Any]], experiment: str | None) -> str:
    """Such as `evaluate · align.lr=2e-06`; of what differs in nothing, the experiment instead."""
    shown = ", ".join(f"{key}={after}" for key, (_, after) in [*changed.items()][:_SHOWN])
    more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
    return " · ".join(filter(None, (stage, f"{shown}{more}" or experiment)))


def note(changed: dict[str, tuple[Any, Any]], commit: str) -> str:
    """The differences as Markdown, for MLflow's description of the run; empty where there are none."""
    if not changed:
        return ""
    lines = [f"| {key} | {before} | {after} |" for key, (before, after) in changed.items()]
    return "\n".join([f"| parameter | {commit[:10]} | this run |", "|---|---|---|", *lines])
