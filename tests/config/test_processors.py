"""The processors that a process may use."""

import os
from pathlib import Path

import pytest

from arbiscale.config import processors
from arbiscale.config.processors import available_processors


@pytest.mark.parametrize(("content", "count"), [("150000 100000", 2), ("50000 100000", 1), ("max 100000", 8)])
def test_processors_follow_the_containers_quota(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, count: int
) -> None:
    (tmp_path / "cpu.max").write_text(content)
    monkeypatch.setattr(processors, "_CGROUP_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert available_processors() == count
