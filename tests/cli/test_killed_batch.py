"""A batch that is killed and started again leaves what one clean run leaves."""

from pathlib import Path

import pytest

from benchmarks.killed_batch import COMMAND, contents, make_pictures, run_killed
from tests.cli.running import run


@pytest.mark.slow
def test_a_batch_killed_five_times(tmp_path: Path, super_resolution_model: Path) -> None:
    make_pictures(tmp_path / "in", 30)
    options = ["--scale", "2", "--steps", "1", "--threads", "1", "--device", "cpu", "--skip-existing"]
    model = ["--model", str(super_resolution_model)]
    assert run("upscale", tmp_path / "in", tmp_path / "clean", *options, *model) == 0
    killed = tmp_path / "killed"
    found = run_killed([*COMMAND, str(tmp_path / "in"), str(killed), *options, *model], killed, 30, 5)
    assert found == sorted(found)
    assert 0 < found[-1] <= 30
    assert contents(killed) == contents(tmp_path / "clean")
