"""The smoke pipeline's trainings: by two processes, and killed in mid-run."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from .conftest import STEPS, TRAININGS, Project

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("pipeline"),
    pytest.mark.usefixtures("first_state"),
]


def test_two_processes_train_what_one_trains(smoke: Project) -> None:
    """On one batch; the first of them alone records and writes."""
    params = smoke.folder / "params.yaml"
    runs = len(smoke.client().search_runs(["1"], "tags.stage = 'diffusion'"))
    weights = smoke.folder / "models/diffusion/denoiser.safetensors"
    alone = load_file(weights)
    params.write_text(re.sub(r"(?<=\n  devices: )1", "2", params.read_text()))
    smoke.run("dvc", "repro", "-f", "-s", "diffusion")
    together = load_file(weights)
    assert max(float((together[name] - alone[name]).abs().max()) for name in alone) < 1e-4
    assert len(smoke.client().search_runs(["1"], "tags.stage = 'diffusion'")) == runs + 1
    history = smoke.client().get_metric_history(smoke.run_ids()["diffusion"], "train/loss")
    assert sorted(point.step for point in history) == [*range(STEPS)]
    assert not [*(smoke.folder / ".resume/diffusion").glob("*/step-*.ckpt")]
    assert not (smoke.folder / ".journal" / smoke.run_ids()["diffusion"]).exists()


def test_killed_trainings_continue(smoke: Project, first_ids: dict[str, str]) -> None:
    weights = smoke.weights()
    trainer = smoke.folder / "src/arbiscale/training/fit.py"
    trainer.write_text(trainer.read_text() + "# a change that changes no result\n")
    outputs, interrupted = [], {}
    for stage in TRAININGS:
        process = smoke.start("dvc", "repro")
        run_note = kill_in_mid_run(process, smoke.folder, stage)
        interrupted[stage] = json.loads(run_note)["run_id"]
        script = smoke.folder / "stages" / f"{stage}.py"
        script.write_text(script.read_text() + "# a comment while it is paused\n")
        listed = smoke.run("arbiscale", "resume", "list")
        assert [line.split("/")[0] for line in listed.splitlines()[1:]] == [stage]
        outputs.append(str(process.stdout and process.stdout.read()))
    outputs.append(smoke.run("dvc", "repro"))

    pairs = zip([None, *TRAININGS], [*TRAININGS, None], strict=True)  # what each continued, and began
    assert [smoke.executed(output) for output in outputs] == [[*filter(None, pair)] for pair in pairs]
    for stage, output in zip(TRAININGS, outputs[1:], strict=True):
        (line,) = (line for line in output.splitlines() if "resuming at step" in line)
        assert line.startswith(stage)
        assert line.endswith(f" of {STEPS}")
        assert int(line.split()[4]) in range(4, STEPS, 4)
    assert smoke.weights() == weights
    ids = smoke.run_ids()
    assert {stage: ids[stage] for stage in TRAININGS} == interrupted
    assert all(ids[stage] != first_ids[stage] for stage in TRAININGS)
    for run_id in interrupted.values():
        run = smoke.client().get_run(run_id)
        assert run.info.status == "FINISHED"
        steps = [point.step for point in smoke.client().get_metric_history(run_id, "train/loss")]
        assert sorted(steps) == [*range(STEPS)]  # no hole, nothing twice
    assert not [*(smoke.folder / ".resume").glob("*/*/step-*.ckpt")]


def kill_in_mid_run(process: subprocess.Popen[str], folder: Path, stage: str) -> str:
    """SIGKILL a process group when the stage has a checkpoint; returns the note of its run."""
    patience = time.monotonic() + 300
    try:
        while not (found := [*(folder / ".resume" / stage).glob("*/step-*.ckpt")]):
            assert process.poll() is None, process.stdout and process.stdout.read()
            assert time.monotonic() < patience
            time.sleep(0.01)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (folder / "models" / stage).exists()  # it had not finished
    return found[0].with_name("run.json").read_text()
