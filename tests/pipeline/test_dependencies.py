"""dvc.yaml says of every stage what decides its result: rooms, upstream outputs and parameters."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any, get_args

import grimp
import pytest

from arbiscale.config.baselines import BaselineName
from arbiscale.config.section import flatten, read_yaml

REPOSITORY = Path(__file__).parents[2]


def stages() -> dict[str, dict[str, Any]]:
    """Every stage of dvc.yaml by its script's name; of the group, also those that are not trained."""
    found = read_yaml(REPOSITORY / "dvc.yaml")["stages"]
    group = json.dumps(found.pop("baselines")["do"])
    return found | {name: json.loads(group.replace("${item}", name)) for name in get_args(BaselineName)}


STAGES = stages()
FRAME = {
    "pipeline",
    "tracking",
    "cli",
    "report",
    "config",
    "progress",
    "errors",
    "files",
    "workspace",
}
ROOMS = "src/arbiscale/"
UNTRACKED = ["runtime", "register.gate"]  # how to run; what `arbiscale promote` asks


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    """The package's imports, late ones included."""
    return grimp.build_graph("arbiscale", cache_dir=None)


def script_imports(stage: str, graph: grimp.ImportGraph) -> set[str]:
    """The package's modules that a stage's script names."""
    tree = ast.parse((REPOSITORY / f"stages/{stage}.py").read_text())
    found = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    names = {(str(node.module), alias.name) for node in found for alias in node.names}
    return {
        f"{module}.{name}" if f"{module}.{name}" in graph.modules else module
        for module, name in names
        if module.split(".")[0] == "arbiscale"
    }


def rooms_behind(modules: set[str], graph: grimp.ImportGraph) -> set[str]:
    """The rooms outside the frame that modules lead to, by imports outside the frame."""
    seen: set[str] = set()
    todo = [*modules]
    while todo:
        module = todo.pop()
        if module in seen or "." not in module or module.split(".")[1] in FRAME:
            continue
        seen.add(module)
        todo += graph.find_modules_directly_imported_by(module)
    return {module.split(".")[1] for module in seen}


@pytest.mark.parametrize("stage", STAGES)
def test_rooms(stage: str, imports: grimp.ImportGraph) -> None:
    deps = STAGES[stage]["deps"]
    assert f"stages/{stage}.py" in deps
    listed = {entry.removeprefix(ROOMS) for entry in deps if entry.startswith(ROOMS)}
    needed = rooms_behind(script_imports(stage, imports), imports)
    assert (sorted(needed - listed), sorted(listed - needed)) == ([], []), f"{stage}: missing, idle"


@pytest.mark.parametrize("stage", STAGES)
def test_upstream_outputs(stage: str) -> None:
    """What another stage makes and a script names is a dependency of it."""
    made = {str(path): other for other in STAGES for path in outputs(other) if not path.startswith("runs/")}
    made["models/baselines"] = "all of the group"
    deps = {entry for entry in STAGES[stage]["deps"] if not entry.startswith(("src/", "stages/"))}
    assert deps <= {path for path, maker in made.items() if maker != stage}
    tree = ast.parse((REPOSITORY / f"stages/{stage}.py").read_text())
    named = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert {path for path in made.keys() & named if made[path] != stage} <= deps


def test_a_model_is_registered_after_its_evaluation() -> None:
    """A22: `register` did not wait for `evaluate`, and named the evaluation before."""
    assert "metrics/summary.json" in STAGES["register"]["deps"]
    assert "metrics/summary.json" in outputs("evaluate")


def outputs(stage: str) -> list[str]:
    entries = [*STAGES[stage].get("outs", []), *STAGES[stage].get("metrics", [])]
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]


def inside(name: str, keys: list[str]) -> bool:
    return any(name == key or name.startswith(f"{key}.") for key in keys)


def test_every_parameter_is_tracked() -> None:
    """That a stage reads no other than its own is the frame's to enforce (`only_tracked`)."""
    tracked = [key for stage in STAGES.values() for key in stage["params"]]
    leaves = flatten(read_yaml(REPOSITORY / "params.yaml"))
    assert not [key for key in leaves if not inside(key, [*tracked, *UNTRACKED])], "no stage tracks these"
    assert not [key for key in tracked if inside(key, UNTRACKED)]
    assert not [key for key in tracked if not any(inside(leaf, [key]) for leaf in leaves)], "unknown"


@pytest.mark.parametrize("stage", STAGES)
def test_the_seed_is_tracked_where_it_is_used(stage: str) -> None:
    used = "stage.seed" in (REPOSITORY / f"stages/{stage}.py").read_text()
    assert ("seed" in STAGES[stage]["params"]) == used
