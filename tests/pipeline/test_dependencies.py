"""dvc.yaml says of every stage exactly what it depends on."""

from __future__ import annotations

from pathlib import Path

import pytest

from arbiscale.config.section import flatten, read_yaml

from .conftest import REPOSITORY, Project

STAGES = read_yaml(REPOSITORY / "dvc.yaml")["stages"]
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("pipeline")]


def outputs(stage: str) -> list[str]:
    return [*STAGES[stage].get("outs", []), *STAGES[stage].get("metrics", [])]


def covered(name: str, entries: list[str], separator: str) -> bool:
    """Whether a path or key is one of the entries, or inside one."""
    return any(name == entry or name.startswith(entry + separator) for entry in entries)


def files(entry: str, root: Path) -> set[str]:
    """The modules that an entry of dvc.yaml stands for: itself, or all in a folder."""
    inside = (root / entry).rglob("*.py")
    return {path.relative_to(root).as_posix() for path in inside} or {entry}


@pytest.mark.parametrize("stage", STAGES)
def test_modules(stage: str, project: Project, first_run: str, generation: str) -> None:
    entries = [entry for entry in STAGES[stage]["deps"] if entry.startswith(("src/", "stages/"))]
    listed = set().union(*(files(entry, project.folder) for entry in entries))
    used = {f"stages/{stage}.py", *project.used(stage)["modules"]}
    missing, superfluous = sorted(used - listed), sorted(listed - used)
    assert (missing, superfluous) == ([], []), f"{stage} in dvc.yaml"


@pytest.mark.parametrize("stage", STAGES)
def test_upstream_outputs(stage: str, project: Project, first_run: str, generation: str) -> None:
    upstream = {entry for entry in STAGES[stage]["deps"] if not entry.startswith(("src/", "stages/"))}
    made = {output for other in STAGES for output in outputs(other) if not output.startswith("runs/")}
    paths = project.used(stage)["opened"]
    opened = {output for output in made if any(covered(path, [output], "/") for path in paths)}
    assert opened - {*outputs(stage)} == upstream


@pytest.mark.parametrize("stage", STAGES)
def test_parameters(stage: str, project: Project, first_run: str, generation: str) -> None:
    tracked = STAGES[stage]["params"]
    untracked = [key for key in project.used(stage)["read"] if not covered(key, [*tracked, "runtime"], ".")]
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
