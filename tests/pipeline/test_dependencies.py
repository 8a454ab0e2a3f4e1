"""dvc.yaml says of every stage exactly what it depends on."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import grimp
import pytest

from arbiscale.config.section import flatten, read_yaml

from .conftest import REPOSITORY, Project

STAGES = read_yaml(REPOSITORY / "dvc.yaml")["stages"]
PACKAGE = "arbiscale"
GRAPH = grimp.build_graph(PACKAGE, cache_dir=None)
FRAME = {  # cannot change a result
    *("pipeline", "tracking", "cli", "report", "config"),
    *("errors", "files", "progress", "workspace"),
}


def outputs(stage: str) -> list[str]:
    metrics = [next(iter(entry)) for entry in STAGES[stage].get("metrics", [])]
    return [*STAGES[stage].get("outs", []), *metrics]


def covered(name: str, entries: list[str], separator: str) -> bool:
    """Whether a path or key is one of the entries, or inside one."""
    return any(name == entry or name.startswith(entry + separator) for entry in entries)


def imported(script: Path) -> set[str]:
    """The modules that a script imports, and what these import in turn, beyond the frame."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(script.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            modules |= {name if name in GRAPH.modules else str(node.module) for name in names}
    found: set[str] = set()
    while modules:
        module = modules.pop()
        found.add(module)
        if room_of(module) not in FRAME:
            modules |= GRAPH.find_modules_directly_imported_by(module) - found
    return found


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


@pytest.mark.parametrize("stage", STAGES)
def test_rooms(stage: str) -> None:
    """A stage depends on the rooms that its script imports, but for the frame: none missing, none idle."""
    listed = {entry for entry in STAGES[stage]["deps"] if entry.startswith(("src/", "stages/"))}
    rooms = {room_of(module) for module in imported(REPOSITORY / f"stages/{stage}.py")} - FRAME - {""}
    assert listed == {f"stages/{stage}.py", *(f"src/{PACKAGE}/{room}" for room in rooms)}


@pytest.mark.parametrize("stage", STAGES)
def test_upstream_outputs(stage: str) -> None:
    """A stage depends on the outputs that its script names, and names what it depends on."""
    text = (REPOSITORY / f"stages/{stage}.py").read_text()
    upstream = {entry for entry in STAGES[stage]["deps"] if not entry.startswith(("src/", "stages/"))}
    made = {output for other in STAGES for output in outputs(other) if not output.startswith("runs/")}
    assert upstream <= made
    folders = re.findall(r'Path\("([a-z_/.]+)"\)', text)
    assert {name for name in folders if name in made} - {*outputs(stage)} <= upstream
    named = {path for path in upstream if path in folders or Path(path).parent.as_posix() in folders}
    assert upstream - named <= {"metrics/summary.json"}  # registers what was evaluated


@pytest.mark.slow
@pytest.mark.xdist_group("pipeline")
@pytest.mark.parametrize("stage", STAGES)
def test_parameters(stage: str, pipeline: Project, first_run: str, generation: str) -> None:
    tracked = STAGES[stage]["params"]
    untracked = [
        key for key in pipeline.parameters_read(stage) if not covered(key, [*tracked, "runtime"], ".")
    ]
    assert not untracked, f"{stage} reads what it does not track"
    draws = "stage.seed" in (REPOSITORY / f"stages/{stage}.py").read_text()
    assert ("seed" in tracked) == draws


def test_every_parameter_is_tracked() -> None:
    tracked = [key for stage in STAGES.values() for key in stage["params"]]
    leaves = flatten(read_yaml(REPOSITORY / "params.yaml"))
    loose = [key for key in leaves if not covered(key, [*tracked, "runtime"], ".")]
    assert not loose, "no stage tracks these"
    assert not [key for key in tracked if covered(key, ["runtime"], ".")]
    unknown = [key for key in tracked if not any(covered(leaf, [key], ".") for leaf in leaves)]
    assert not unknown, "not in params.yaml"
