from contextlib import suppress
from pathlib import Path

import pytest
from typer.testing import CliRunner

from arbiscale.cli.app import app
from arbiscale.errors import UserError
from arbiscale.pipeline.resume import resumable, states

PARAMS = (Path(__file__).parents[2] / "params.yaml").read_text()


@pytest.fixture
def repository(project: Path) -> Path:
    """A project whose stage `toy` was interrupted with another learning rate than its params.yaml has."""
    (project / "params.yaml").write_text(PARAMS)
    (project / "dvc.yaml").write_text("stages: {toy: {params: [align.lr]}}\n")
    with suppress(RuntimeError), resumable("toy", "ab" * 32) as state:
        state.write_note(run_id="abc", parameters={"align.lr": 0.125}, made_with={})
        raise RuntimeError
    return project


def run(*arguments: str) -> str:
    return CliRunner().invoke(app, ["resume", *arguments], catch_exceptions=False).output


def test_paused_states_are_listed_and_discarded(repository: Path) -> None:
    header, line = run("list").splitlines()
    assert header.split()[:4] == ["state", "step", "age", "MiB"]
    assert line.startswith("toy/abababababab")
    assert "align.lr: 0.125, not " in line
    assert "removed " in run("discard", "toy/abababababab")
    assert states() == []
    assert run("list") == "No stage is paused.\n"
    with pytest.raises(UserError, match="toy/abababababab: is no paused state"):
        run("discard", "toy/abababababab")


def test_a_state_of_a_stage_that_is_gone_is_listed(repository: Path) -> None:
    (repository / "dvc.yaml").write_text("stages: {}\n")
    assert "toy/abababababab" in run("list")
