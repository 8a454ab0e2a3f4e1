import subprocess
from pathlib import Path

import pytest

from arbiscale.pipeline.differences import changed_parameters, note, run_name

DVC = """stages:
  first: {params: [seed, a, {own.yaml: [b]}], outs: [one]}
  second: {params: [b.x], deps: [one], outs: [two/model], metrics: [three.json: {cache: false}]}
  third: {params: [c], deps: [two, three.json]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository with three stages, whose parameters were changed."""
    (tmp_path / "dvc.yaml").write_text(DVC)
    (tmp_path / "params.yaml").write_text("seed: 0\na: {p: 1, q: [1]}\nb: {x: 1, y: 1}\nc: {z: 1e-6}\n")
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "first"]):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True)
    (tmp_path / "params.yaml").write_text("seed: 1\na: {p: 2}\nb: {x: 2, y: 2}\nc: {z: 1e-06, new: 5}\n")
    return tmp_path


@pytest.mark.parametrize(
    ("stage", "keys"),
    [
        ("first", ["seed", "a.p", "a.q"]),
        ("second", ["seed", "a.p", "b.x", "a.q"]),
        ("third", ["seed", "a.p", "b.x", "c.new", "a.q"]),
    ],
)
def test_what_a_stage_and_those_before_it_depend_on(folder: Path, stage: str, keys: list[str]) -> None:
    changed = changed_parameters(folder, "HEAD", stage)
    assert [*changed] == keys
    assert changed["a.p"] == (1, 2)
    assert changed["a.q"] == ([1], None)


def test_without_a_commit_nothing_is_known(folder: Path) -> None:
    assert changed_parameters(folder, "0" * 40, "third") == {}
    (folder / "params.yaml").write_text("seed: [")
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "-C", str(folder), *who, "commit", "-qam", "broken"], check=True)
    assert changed_parameters(folder, "HEAD", "third") == {}


def test_names() -> None:
    changed = {
        key: (1, value) for key, value in (("a.lr", 2e-6), ("b", 3), ("c", [4]), ("d", None), ("e", 5))
    }
    assert run_name("evaluate", {}, None) == "evaluate"
    assert run_name("evaluate", {}, "brave-newt") == "evaluate · brave-newt"
    assert run_name("evaluate", {"a.lr": (1, 2e-6)}, "brave-newt") == "evaluate · a.lr=2e-06"
    assert run_name("evaluate", changed, None) == "evaluate · a.lr=2e-06, b=3, c=[4] and 2 more"
    assert note({}, "c0ffee") == ""
    assert note({"b": (1, 3)}, "c0ffee" * 5).splitlines()[0] == "| parameter | c0ffeec0ff | this run |"
