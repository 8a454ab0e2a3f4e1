"""Ten disturbances of the smoke pipeline; `python -m benchmarks.soak` makes as many as asked for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.soak import Soak

from .conftest import Project

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("pipeline")]


@pytest.mark.skipif(sys.platform != "linux", reason="limits of other processes are set as on Linux")
def test_nothing_is_lost_whatever_happens(smoke: Project, first_run: str, tmp_path: Path) -> None:
    smoke.run("git", "reset", "-q", "--hard")
    smoke.run("dvc", "checkout", "-q")
    done = Soak(smoke.folder, smoke.environment).run(10)
    assert sum(done.values()) - done["repeated"] == 10
    assert len(+done) >= 6
