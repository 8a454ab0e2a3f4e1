"""Ten disturbances of the smoke pipeline; `python -m benchmarks.soak` makes as many as asked for."""

from __future__ import annotations

import os
import sys

import pytest

from benchmarks.soak import CUT_OFF, Soak

from .conftest import Project

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("pipeline")]


@pytest.mark.parametrize(("name", "size"), [("dvc.lock", 0), ("dvc.lock", 20), (".dvc/tmp/rwlock", 0)])
def test_what_dvc_says_of_its_files_cut_off(smoke: Project, first_run: str, name: str, size: int) -> None:
    file = smoke.folder / name
    content = file.read_bytes()
    os.truncate(file, size)
    output, _ = smoke.start("dvc", "repro", "evaluate").communicate()
    file.write_bytes(content)
    assert CUT_OFF.search(output), output


@pytest.mark.skipif(sys.platform != "linux", reason="limits of other processes are set as on Linux")
def test_nothing_is_lost_whatever_happens(smoke: Project, first_run: str) -> None:
    smoke.run("git", "reset", "-q", "--hard")
    smoke.run("dvc", "checkout", "-q")
    soak = Soak(smoke.folder, smoke.environment)
    os.truncate(smoke.folder / "dvc.lock", 20)  # as if by chance
    done = soak.run(10)
    assert sum(done.values()) == 10
    assert len(done) == 7
    assert soak.cut_off_by_chance >= 1
