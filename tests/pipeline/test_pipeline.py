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
def first_ids(pipeline: Project, first_run: str) -> dict[str, str]:
    """The runs of the first `dvc repro`."""
    return pipeline.run_ids()


@pytest.fixture(autouse=True)
def _first_state(pipeline: Project, first_ids: dict[str, str]) -> None:
    """Every test starts from what the first run left."""
    pipeline.run("git", "reset", "-q", "--hard")
    pipeline.run("dvc", "checkout", "-q")
    assert pipeline.run_ids() == first_ids


def runs_of(pipeline: Project, stage: str) -> dict[str, Run]:
    """A stage's runs in the project's store, by the experiment's name (empty: none)."""
    runs = pipeline.client().search_runs(["1"], f"tags.stage = '{stage}'")
    return {run.data.tags.get("dvc_experiment", ""): run for run in runs}


def challenger_run(pipeline: Project) -> str:
    """The run that registered the challenger."""
    return str(pipeline.client().get_model_version_by_alias("arbiscale", "challenger").run_id)


def shown_rates(pipeline: Project) -> dict[str, float]:
    """align.lr of every row of `dvc exp show`, by its name."""
    baselines = json.loads(pipeline.run("dvc", "exp", "show", "--json"))
    rows = [row for baseline in baselines for row in (baseline, *experiments_of(baseline))]
    return {row["name"]: row["data"]["params"]["params.yaml"]["data"]["align"]["lr"] for row in rows}


def experiments_of(baseline: dict[str, Any]) -> list[dict[str, Any]]:
    return [each["revs"][0] for each in baseline.get("experiments") or []]


def test_from_scratch(pipeline: Project, first_run: str, first_ids: dict[str, str]) -> None:
    assert pipeline.executed(first_run) == STAGES == sorted(first_ids, key=STAGES.index)
    metrics = json.loads((pipeline.folder / "reports/evaluate.json").read_text())
    assert {"bicubic", *TRAININGS} <= {*metrics["x3.3"]}
    assert all(row["psnr"] > 0 for row in metrics["x3.3"].values())
    assert metrics["x2"]["align_samples"]["lpips"] > 0
    summary = json.loads((pipeline.folder / "metrics/summary.json").read_text())
    assert 0 < len(summary) <= 8
    assert all(isinstance(value, float) for value in summary.values())
    for stage in TRAININGS:
        header, *lines = (pipeline.folder / f"runs/{stage}.tsv").read_text().splitlines()
        assert header.split("\t")[0] == "step"
        assert "train/loss" in header
        assert len(lines) == STEPS
    tags = pipeline.client().get_run(first_ids["register"]).data.tags
    assert tags["git_dirty"] == "false"  # nothing that DVC writes dirties a fresh clone
    sheets = [*(pipeline.folder / "reports/sheets").glob("*.png")]
    assert len(sheets) >= 2
    assert all(Image.open(sheet).width > 100 for sheet in sheets)
    page = (pipeline.folder / "reports/evaluate.html").read_text()
    assert [stage for stage in STAGES[:-1] if first_ids[stage] not in page] == []
    assert "autoencoder: loss" in page
    kept = pipeline.client().list_artifacts(first_ids["evaluate"], "reports")
    assert "reports/evaluate.html" in {each.path for each in kept}
    for stage in TRAININGS:
        parts = {file.name for file in (pipeline.folder / "models" / stage).iterdir()}
        assert parts >= {"config.json", "autoencoder.safetensors"}
    statuses = {stage: pipeline.client().get_run(run_id).info.status for stage, run_id in first_ids.items()}
    assert set(statuses.values()) == {"FINISHED"}
    assert not [*(pipeline.folder / ".resume").glob("*/*/last.ckpt")]
    photograph, upscaled = "data/crops/test/coffee.png", pipeline.folder / "upscaled.png"
    pipeline.run("arbiscale", "upscale", photograph, str(upscaled), "--size", "90x70")
    assert Image.open(upscaled).size == (70, 90)


def test_again_nothing_runs(pipeline: Project) -> None:
    assert pipeline.executed(pipeline.run("dvc", "repro")) == []


def test_a_learning_rate_is_an_experiment(pipeline: Project, first_ids: dict[str, str]) -> None:
    output = pipeline.run("dvc", "exp", "run", "--name", "slow", "-S", "align.lr=1e-6")
    assert pipeline.executed(output) == [*ALIGNMENT, "evaluate", "register"]
    ids = pipeline.run_ids()
    assert [stage for stage in STAGES if ids[stage] == first_ids[stage]] == STAGES[:4]
    first, slow = (runs_of(pipeline, "evaluate")[name] for name in ("", "slow"))
    assert float(slow.data.params["align.lr"]) == 1e-6 != float(first.data.params["align.lr"])
    assert {*slow.data.params.items()} - {*first.data.params.items()} == {("align.lr", "1e-06")}
    assert first.data.metrics.keys() == slow.data.metrics.keys() >= {"x3.3/align_samples/psnr"}
    assert challenger_run(pipeline) == ids["register"]
    rates = shown_rates(pipeline)
    assert (rates["slow"], rates["master"]) == (1e-6, float(first.data.params["align.lr"]))

    output = pipeline.run("dvc", "exp", "run", "-S", f"align.lr={first.data.params['align.lr']}")
    assert pipeline.executed(output) == []
    assert pipeline.run_ids() == first_ids


def test_a_loss_weight_retrains_the_alignment_only(pipeline: Project) -> None:
    params = pipeline.folder / "params.yaml"
    params.write_text(re.sub(r"(?<=\n  image_weight: )\S+", "2", params.read_text()))
    output = pipeline.run("dvc", "repro", "--dry")
    assert pipeline.executed(output)[:2] == ALIGNMENT


def test_experiments_elsewhere_are_recorded_here(
    pipeline: Project, generation: str, first_ids: dict[str, str]
) -> None:
    assert pipeline.executed(generation) == STAGES[2:]
    assert pipeline.run_ids() == first_ids  # the workspace stayed as it was
    run = runs_of(pipeline, "evaluate")["generation"]
    assert run.info.status == "FINISHED"
    assert run.data.params["diffusion.task"] == "generation"
    assert any(name.endswith("self_ssim") for name in run.data.metrics)
    maker = runs_of(pipeline, "register")["generation"]
    (version,) = pipeline.client().search_model_versions(f"run_id = '{maker.info.run_id}'")
    model = f"models:/arbiscale/{version.version}"
    pipeline.run("arbiscale", "generate", "drawn", "--model", model, "--size", "40x48", "--count", "1")
    assert Image.open(next((pipeline.folder / "drawn").glob("*.png"))).size == (48, 40)


def test_killed_trainings_continue(pipeline: Project, first_ids: dict[str, str]) -> None:
    weights = pipeline.weights()
    trainer = pipeline.folder / "src/arbiscale/training/fit.py"
    trainer.write_text(trainer.read_text() + "# a change that changes no result\n")
    outputs, interrupted = [], {}
    for stage in TRAININGS:
        process = pipeline.start("dvc", "repro")
        run_note = kill_in_mid_run(process, pipeline.folder, stage)
        interrupted[stage] = json.loads(run_note)["run_id"]
        outputs.append(str(process.stdout and process.stdout.read()))
    outputs.append(pipeline.run("dvc", "repro"))

    pairs = zip([None, *TRAININGS], [*TRAININGS, None], strict=True)  # what each continued, and began
    assert [pipeline.executed(output) for output in outputs] == [[*filter(None, pair)] for pair in pairs]
    for stage, output in zip(TRAININGS, outputs[1:], strict=True):
        (line,) = (line for line in output.splitlines() if "resuming at step" in line)
        assert line.startswith(stage)
        assert line.endswith(f" of {STEPS}")
        assert int(line.split()[4]) in range(4, STEPS, 4)
    assert pipeline.weights() == weights
    ids = pipeline.run_ids()
    assert {stage: ids[stage] for stage in TRAININGS} == interrupted
    assert all(ids[stage] != first_ids[stage] for stage in TRAININGS)
    for run_id in interrupted.values():
        run = pipeline.client().get_run(run_id)
        assert run.info.status == "FINISHED"
        steps = {point.step for point in pipeline.client().get_metric_history(run_id, "train/loss")}
        assert len({*range(STEPS)} - steps) <= 1  # what was killed while it was being recorded
    assert not [*(pipeline.folder / ".resume").glob("*/*/last.ckpt")]


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
