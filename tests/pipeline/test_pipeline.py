"""The whole pipeline on the smoke preset: from scratch, again, as experiments, and killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Run
from PIL import Image

from .conftest import Project

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("pipeline")]
TRAININGS = ["autoencoder", "diffusion", "align_timesteps", "align_samples"]
STAGES = ["download", "crop", *TRAININGS, "evaluate", "register"]
ALIGNMENT = ["align_timesteps", "align_samples"]
STEPS = 20


@pytest.fixture(scope="module")
def first_ids(project: Project, first_run: str) -> dict[str, str]:
    """The runs of the first `dvc repro`."""
    return project.run_ids()


@pytest.fixture(autouse=True)
def _first_state(project: Project, first_ids: dict[str, str]) -> None:
    """Every test starts from what the first run left."""
    project.run("git", "reset", "-q", "--hard")
    project.run("dvc", "checkout", "-q")
    assert project.run_ids() == first_ids


def runs_of(project: Project, stage: str) -> dict[str, Run]:
    """A stage's runs in the project's store, by the experiment's name (empty: none)."""
    runs = project.client().search_runs(["1"], f"tags.stage = '{stage}'")
    return {run.data.tags.get("dvc_experiment", ""): run for run in runs}


def challenger_run(project: Project) -> str:
    """The run that registered the challenger."""
    return str(project.client().get_model_version_by_alias("arbiscale", "challenger").run_id)


def shown_rates(project: Project) -> dict[str, float]:
    """align.lr of every row of `dvc exp show`, by its name."""
    baselines = json.loads(project.run("dvc", "exp", "show", "--json"))
    rows = [row for baseline in baselines for row in (baseline, *experiments_of(baseline))]
    return {row["name"]: row["data"]["params"]["params.yaml"]["data"]["align"]["lr"] for row in rows}


def experiments_of(baseline: dict[str, Any]) -> list[dict[str, Any]]:
    return [each["revs"][0] for each in baseline.get("experiments") or []]


def test_from_scratch(project: Project, first_run: str, first_ids: dict[str, str]) -> None:
    assert project.executed(first_run) == STAGES == sorted(first_ids, key=STAGES.index)
    metrics = json.loads((project.folder / "metrics/evaluate.json").read_text())
    assert {"bicubic", *TRAININGS} <= {*metrics["x3.3"]}
    assert all(row["psnr"] > 0 for row in metrics["x3.3"].values())
    assert metrics["x2"]["align_samples"]["lpips"] > 0
    sheets = [*(project.folder / "reports/sheets").glob("*.png")]
    assert len(sheets) >= 2
    assert all(Image.open(sheet).width > 100 for sheet in sheets)
    page = (project.folder / "reports/evaluate.html").read_text()
    assert [stage for stage in STAGES[:-1] if first_ids[stage] not in page] == []
    assert "autoencoder: loss" in page
    kept = project.client().list_artifacts(first_ids["evaluate"], "reports")
    assert "reports/evaluate.html" in {each.path for each in kept}
    for stage in TRAININGS:
        parts = {file.name for file in (project.folder / "models" / stage).iterdir()}
        assert parts >= {"config.json", "autoencoder.safetensors"}
    statuses = {stage: project.client().get_run(run_id).info.status for stage, run_id in first_ids.items()}
    assert set(statuses.values()) == {"FINISHED"}
    assert not [*(project.folder / ".resume").glob("*/*/last.ckpt")]
    photograph, upscaled = "data/crops/test/coffee.png", project.folder / "upscaled.png"
    project.run("arbiscale", "upscale", photograph, str(upscaled), "--size", "90x70")
    assert Image.open(upscaled).size == (70, 90)


def test_again_nothing_runs(project: Project) -> None:
    assert project.executed(project.run("dvc", "repro")) == []


def test_a_learning_rate_is_an_experiment(project: Project, first_ids: dict[str, str]) -> None:
    output = project.run("dvc", "exp", "run", "--name", "slow", "-S", "align.lr=1e-6")
    assert project.executed(output) == [*ALIGNMENT, "evaluate", "register"]
    ids = project.run_ids()
    assert [stage for stage in STAGES if ids[stage] == first_ids[stage]] == STAGES[:4]
    first, slow = (runs_of(project, "evaluate")[name] for name in ("", "slow"))
    assert float(slow.data.params["align.lr"]) == 1e-6 != float(first.data.params["align.lr"])
    assert {*slow.data.params.items()} - {*first.data.params.items()} == {("align.lr", "1e-06")}
    assert first.data.metrics.keys() == slow.data.metrics.keys() >= {"x3.3/align_samples/psnr"}
    assert challenger_run(project) == ids["register"]
    rates = shown_rates(project)
    assert (rates["slow"], rates["master"]) == (1e-6, float(first.data.params["align.lr"]))

    output = project.run("dvc", "exp", "run", "-S", f"align.lr={first.data.params['align.lr']}")
    assert project.executed(output) == []
    assert project.run_ids() == first_ids


def test_a_loss_weight_retrains_the_alignment_only(project: Project) -> None:
    params = project.folder / "params.yaml"
    params.write_text(re.sub(r"(?<=\n  image_weight: )\S+", "2", params.read_text()))
    output = project.run("dvc", "repro", "--dry")
    assert project.executed(output)[:2] == ALIGNMENT


def test_experiments_elsewhere_are_recorded_here(
    project: Project, generation: str, first_ids: dict[str, str]
) -> None:
    assert project.executed(generation) == STAGES[2:]
    assert project.run_ids() == first_ids  # the workspace stayed as it was
    run = runs_of(project, "evaluate")["generation"]
    assert run.info.status == "FINISHED"
    assert run.data.params["diffusion.task"] == "generation"
    assert any(name.endswith("self_ssim") for name in run.data.metrics)
    maker = runs_of(project, "register")["generation"]
    (version,) = project.client().search_model_versions(f"run_id = '{maker.info.run_id}'")
    model = f"models:/arbiscale/{version.version}"
    project.run("arbiscale", "generate", "drawn", "--model", model, "--size", "40x48", "--count", "1")
    assert Image.open(next((project.folder / "drawn").glob("*.png"))).size == (48, 40)


def test_killed_trainings_continue(project: Project, first_ids: dict[str, str]) -> None:
    weights = project.weights()
    trainer = project.folder / "src/arbiscale/training/fit.py"
    trainer.write_text(trainer.read_text() + "# a change that changes no result\n")
    outputs, interrupted = [], {}
    for stage in TRAININGS:
        process = project.start("dvc", "repro")
        run_note = kill_in_mid_run(process, project.folder, stage)
        interrupted[stage] = json.loads(run_note)["run_id"]
        outputs.append(str(process.stdout and process.stdout.read()))
    outputs.append(project.run("dvc", "repro"))

    pairs = zip([None, *TRAININGS], [*TRAININGS, None], strict=True)  # what each continued, and began
    assert [project.executed(output) for output in outputs] == [[*filter(None, pair)] for pair in pairs]
    for stage, output in zip(TRAININGS, outputs[1:], strict=True):
        (line,) = (line for line in output.splitlines() if "resuming at step" in line)
        assert line.startswith(stage)
        assert line.endswith(f" of {STEPS}")
        assert int(line.split()[4]) in range(4, STEPS, 4)
    assert project.weights() == weights
    ids = project.run_ids()
    assert {stage: ids[stage] for stage in TRAININGS} == interrupted
    assert all(ids[stage] != first_ids[stage] for stage in TRAININGS)
    for run_id in interrupted.values():
        run = project.client().get_run(run_id)
        assert run.info.status == "FINISHED"
        steps = {point.step for point in project.client().get_metric_history(run_id, "train/loss")}
        assert len({*range(STEPS)} - steps) <= 1  # what was killed while it was being recorded
    assert not [*(project.folder / ".resume").glob("*/*/last.ckpt")]


def kill_in_mid_run(process: subprocess.Popen[str], folder: Path, stage: str) -> str:
    """SIGKILL a process group when the stage has a checkpoint; returns the note of its run."""
    patience = time.monotonic() + 300
    try:
        while not (found := [*(folder / ".resume" / stage).glob("*/last.ckpt")]):
            assert process.poll() is None, process.stdout and process.stdout.read()
            assert time.monotonic() < patience
            time.sleep(0.01)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (folder / "models" / stage).exists()  # it had not finished
    return found[0].with_name("run.json").read_text()
