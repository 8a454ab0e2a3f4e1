"""The command that says where a picture, a version or a run came from: trace."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from arbiscale.cli.redrawing import recorded
from arbiscale.errors import UserError
from arbiscale.workspace import PRETRAINED, repository_root

if TYPE_CHECKING:
    from arbiscale.tracking.lineage import TracedData, TracedRun
    from arbiscale.tracking.store import Store
    from arbiscale.tracking.versions import Version

_INDENT, _NO_BREAK = " " * 10, "\xa0"
_WRAPPER = textwrap.TextWrapper(
    110,
    initial_indent=_INDENT,
    subsequent_indent=f"{_INDENT}  ",
    break_on_hyphens=False,
    break_long_words=False,
)


def trace(
    what: Annotated[
        str,
        typer.Argument(
            metavar="FILE|VERSION|RUN", help="A picture; 3, champion or models:/NAME@ALIAS; a run."
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Say where a picture came from: version, runs, commits, parameters, data."""
    from arbiscale.tracking.lineage import chain, data_of, run_of_hash, version_of_hash
    from arbiscale.tracking.registry import has_registry
    from arbiscale.tracking.store import open_store
    from arbiscale.tracking.versions import named_version

    uri, name = configured_registry()
    record = recorded(Path(what)) if Path(what).is_file() else {}
    shipped = record.get("model") == PRETRAINED
    if shipped or not has_registry():
        if not record:
            raise UserError(f"{what}: is no picture, and there is no registry here ({repository_root()})")
        model = "comes with the package" if shipped else f"no registry is here ({repository_root()})"
        _print({"picture": record}, as_json, [*_picture(what, record), *_entry("model", model)])
        return
    store = open_store(uri)
    if record:
        sha256 = record.get("model_sha256", "")
        version = version_of_hash(store, sha256, f"{record.get('model')}/{record.get('version')}")
        run_id = (version and version.run_id) or record.get("run") or run_of_hash(store, sha256)
    else:
        version = named_version(store, what, name)
        run_id = version.run_id if version else _run(store, what)
    runs = chain(store, run_id) if run_id else []
    data = data_of(store, runs)
    lines = [*_picture(what, record), *_version(version)]
    shown: dict[str, str] = {}
    for run in runs:
        lines += _run_lines(run, shown)
        shown |= run.parameters
    if not runs:
        lines += _entry("run", "none is known")
    lines += _data(data)
    found = {
        "picture": record or None,
        "version": asdict(version) if version else None,
        "runs": [asdict(run) for run in runs],
        "data": asdict(data) | {"manifest": json.loads(data.manifest or "null")} if data else None,
    }
    _print(found, as_json, lines)


def configured_registry() -> tuple[str, str]:
    """The address of the store, and the name of the registered model, of params.yaml, else the usual ones."""
    from arbiscale.config.register import RegisterSettings
    from arbiscale.config.section import load_section
    from arbiscale.tracking.address import configured_uri

    params = repository_root() / "params.yaml"
    known = params.is_file()
    return configured_uri(), load_section(
        params, "register", RegisterSettings
    ).model_name if known else "arbiscale"


def _run(store: Store, what: str) -> str:
    if store.find(what) is None:
        raise UserError(
            f"{what}: is no picture, no version and no run in the store; `arbiscale runs` lists runs"
        )
    return what


def _print(found: Mapping[str, Any], as_json: bool, lines: list[str]) -> None:
    print(json.dumps(found, indent=2) if as_json else "\n".join(lines))


def _entry(kind: str, title: str, *facts: str) -> Iterator[str]:
    yield f"{kind:<10}{title}"
    for fact in facts:
        for line in _WRAPPER.wrap(fact):
            yield line.replace(_NO_BREAK, " ")


def _picture(what: str, record: Mapping[str, str]) -> Iterator[str]:
    if not record:
        return
    identity = ("model", "version", "model_sha256", "run", "commit", "input", "input_sha256")
    dials = ", ".join(f"{name} {value}" for name, value in record.items() if name not in identity)
    source = (
        f"of {record['input']}, sha256 {record.get('input_sha256')}" if "input" in record else "generated"
    )
    yield from _entry("picture", what, dials, source)


def _version(version: Version | None) -> Iterator[str]:
    if version is None:
        return
    aliases = f" ({', '.join(version.aliases)})" if version.aliases else ""
    tags = (f"{name} {value}" for name, value in sorted(version.tags.items()))
    yield from _entry("version", f"{version.name} {version.number}{aliases}", *tags)


def _run_lines(run: TracedRun, shown: Mapping[str, str]) -> Iterator[str]:
    """A run, without parameters that runs above it have shown."""
    if not run.tags:
        yield from _entry("run", f"{run.stage} {run.id}: {run.status}".lstrip())
        return
    started = datetime.fromtimestamp(run.started).astimezone()
    commit = run.tags.get("git_commit", "unknown")
    changed = ", with changes" if run.tags.get("git_dirty") == "true" else ""
    facts = [f"commit {commit}{changed}; {run.tags.get('host', 'a machine')}"]
    if experiment := run.tags.get("dvc_experiment"):
        facts.append(f"experiment {experiment}")
    if run.stage != "evaluate":  # which records the whole of params.yaml
        new = {key: value for key, value in sorted(run.parameters.items()) if shown.get(key) != value}
        values = [f"{key} = {value or repr(value)}".replace(" ", _NO_BREAK) for key, value in new.items()]
        if repeated := len(run.parameters) - len(new):
            values.append(f"{repeated} as above".replace(" ", _NO_BREAK))
        facts.append(", ".join(values))
    yield from _entry("run", f"{run.stage} {run.id}, {run.status}, {started:%Y-%m-%d %H:%M}", *facts)


def _data(data: TracedData | None) -> Iterator[str]:
    if data is None:
        return
    facts = []
    if data.manifest:
        from arbiscale.data.manifest import parts_of

        parts = [part for part in parts_of(json.loads(data.manifest)).values() if part.crops]
        crops, photographs = sum(part.crops for part in parts), sum(part.photographs for part in parts)
        agrees = "" if data.recorded else ": ANOTHER one than the trainings'"
        facts.append(f"manifest of the run crop{agrees}: {crops} crops of {photographs} photographs")
    here = {True: "the same here", False: "other data are here now", None: "no data are here"}
    yield from _entry("data", f"sha256 {data.data_hash}", *facts, here[data.here])
