"""Devices for experiments side by side, with processes that only look at what is visible."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from arbiscale.pipeline.device_pool import device_from_pool

HOLD = """
import os, sys, time
from arbiscale.pipeline.device_pool import device_from_pool
with device_from_pool("diffusion"):
    print(os.environ["CUDA_VISIBLE_DEVICES"], time.time(), flush=True)
    time.sleep(1)
    print(time.time(), flush=True)
"""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    return tmp_path


def test_three_experiments_share_two_devices(workspace: Path) -> None:
    environment = {**os.environ, "ARBISCALE_GPUS": "4, 6"}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", HOLD],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    spans: dict[str, list[tuple[float, float]]] = {}
    said = ""
    for process in started:
        output, error = process.communicate(timeout=60)
        assert process.returncode == 0, error
        device, begun, ended = output.split()
        spans.setdefault(device, []).append((float(begun), float(ended)))
        said += error
    assert sorted(map(len, spans.values())) == [1, 2]
    assert spans.keys() == {"4", "6"}
    (first, second) = sorted(max(spans.values(), key=len))
    assert first[1] <= second[0]  # never two on one device
    assert said == "diffusion: waiting for one of the devices 4, 6\n"


def test_a_killed_experiment_lets_go(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {**os.environ, "ARBISCALE_GPUS": "0"}
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD.replace("sleep(1)", "sleep(60)")],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline().startswith("0 ")
    process.kill()
    process.communicate()
    monkeypatch.setenv("ARBISCALE_GPUS", "0")
    begun = time.monotonic()
    with device_from_pool("diffusion"):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    assert time.monotonic() - begun < 5


def test_without_a_pool_nothing_changes(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ARBISCALE_GPUS", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    with device_from_pool("diffusion"):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"
    monkeypatch.setenv("ARBISCALE_GPUS", "1")
    with device_from_pool("diffusion"):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "1"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"
