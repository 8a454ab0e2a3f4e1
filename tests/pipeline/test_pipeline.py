"""The whole pipeline on the smoke preset: from scratch, again, as experiments, and killed."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mlflow.entities import Run
from pandas.testing import assert_frame_equal
from PIL import Image
from safetensors.torch import load_file

from .conftest import Project

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("pipeline")]
TRAININGS = ["autoencoder", "diffusion", "align_timesteps", "align_samples"]
STAGES = ["download", "crop", *TRAININGS, "evaluate", "register"]
ALIGNMENT = ["align_timesteps", "align_samples"]
STEPS = 20


@pytest.fixture(scope="module")
def first_ids(smoke: Project, first_run: str) -> dict[str, str]:
    """The runs of the first `dvc repro`."""
    return smoke.run_ids()


@pytest.fixture(autouse=True)
def _first_state(smoke: Project, first_ids: dict[str, str]) -> None:
    """Every test starts from what the first run left."""
    smoke.restore()
    assert smoke.run_ids() == first_ids


def runs_of(smoke: Project, stage: str) -> dict[str, Run]:
    """A stage's runs in the smoke's store, by the experiment's name (empty: none)."""
    runs = smoke.client().search_runs(["1"], f"tags.stage = '{stage}'")
    return {run.data.tags.get("dvc_experiment", ""): run for run in runs}


def challenger_run(smoke: Project) -> str:
    """The run that registered the challenger."""
    return str(smoke.client().get_model_version_by_alias("arbiscale", "challenger").run_id)


def shown_rates(smoke: Project) -> dict[str, float]:
    """align.lr of every row of `dvc exp show`, by its name."""
    baselines = json.loads(smoke.run("dvc", "exp", "show", "--json"))
    rows = [row for baseline in baselines for row in (baseline, *experiments_of(baseline))]
    return {row["name"]: row["data"]["params"]["params.yaml"]["data"]["align"]["lr"] for row in rows}


def experiments_of(baseline: dict[str, Any]) -> list[dict[str, Any]]:
    return [each["revs"][0] for each in baseline.get("experiments") or []]


def test_from_scratch(smoke: Project, first_run: str, first_ids: dict[str, str]) -> None:
    assert smoke.executed(first_run) == STAGES == sorted(first_ids, key=STAGES.index)
    metrics = json.loads((smoke.folder / "reports/evaluate.json").read_text())
    assert {"bicubic", *TRAININGS} <= {*metrics["x3.3"]}
    assert all(row["psnr"] > 0 for row in metrics["x3.3"].values())
    summary = json.loads((smoke.folder / "metrics/summary.json").read_text())
    assert 0 < len(summary) <= 8
    for stage in TRAININGS:
        header, *rows = (smoke.folder / f"runs/{stage}.tsv").read_text().splitlines()
        assert "train/loss" in header.split("\t")
        assert [int(row.split("\t")[0]) for row in rows] == [*range(STEPS)]
    shown = smoke.run("dvc", "metrics", "show")
    assert all(name.rpartition("/")[2] in shown for name in summary)
    assert metrics["x2"]["align_samples"]["lpips"] > 0
    assert {"bicubic", *TRAININGS[1:]} == {point["row"] for point in metrics["trade_off"]}
    tags = smoke.client().get_run(first_ids["register"]).data.tags
    assert tags["git_dirty"] == "false"  # nothing that DVC writes dirties a fresh clone
    traced = json.loads(smoke.run("arbiscale", "trace", "challenger", "--json"))
    assert [run["stage"] for run in traced["runs"]] == [
        *("register", *TRAININGS[::-1], "crop", "download", "evaluate")
    ]
    assert (traced["data"]["recorded"], traced["data"]["here"]) == (True, True)
    sheets = [*(smoke.folder / "reports/sheets").glob("*.png")]
    assert len(sheets) >= 2
    assert all(Image.open(sheet).width > 100 for sheet in sheets)
    page = (smoke.folder / "reports/evaluate.html").read_text()
    assert [stage for stage in STAGES[:-1] if first_ids[stage] not in page] == []
    assert "autoencoder: loss" in page
    kept = smoke.client().list_artifacts(first_ids["evaluate"], "reports")
    assert "reports/evaluate.html" in {each.path for each in kept}
    for stage in TRAININGS:
        parts = {file.name for file in (smoke.folder / "models" / stage).iterdir()}
        assert parts >= {"config.json", "autoencoder.safetensors"}
    statuses = {stage: smoke.client().get_run(run_id).info.status for stage, run_id in first_ids.items()}
    assert set(statuses.values()) == {"FINISHED"}
    assert not [*(smoke.folder / ".resume").glob("*/*/step-*.ckpt")]
    photograph, upscaled = "data/crops/test/coffee.png", smoke.folder / "upscaled.png"
    smoke.run("arbiscale", "upscale", photograph, str(upscaled), "--size", "90x70")
    assert Image.open(upscaled).size == (70, 90)


def test_two_processes_evaluate_as_one_does_and_one_split_is_to_choose_by(
    smoke: Project, first_ids: dict[str, str]
) -> None:
    """A review's A20: parameters were chosen on the test photographs."""
    params, before = smoke.folder / "params.yaml", len(smoke.client().search_runs(["1"]))
    text = params.read_text().replace("crops_per_photograph: 1", "crops_per_photograph: 5")
    together = ("torchrun", "--standalone", "--nproc-per-node", "2")
    tables, said = [], []
    for processes, change in (
        (("python",), ("", "")),
        (together, (" devices: 1 ", " devices: 2 ")),
        (("python",), (" split: test ", " split: validation ")),
    ):
        params.write_text(text.replace(*change))
        said.append(smoke.run(*processes, "stages/evaluate.py"))
        tables.append(pd.read_parquet(smoke.folder / "reports/scores.parquet").drop(columns="seconds"))
    alone, shared, validation = tables
    assert_frame_equal(shared, alone)
    assert alone.picture.nunique() == 5
    assert {*alone.scene} == {"coffee"}
    assert {*validation.scene} == {"flower"}
    assert [output.count("reported on: test scenes, 1: coffee") for output in said] == [1, 1, 0]
    assert [output.count("reported on: nothing") for output in said] == [0, 0, 1]
    assert len(smoke.client().search_runs(["1"])) == before + 3  # one an evaluation
    params.write_text(text)
    refused = smoke.start(*together, "stages/evaluate.py").communicate()[0]
    assert "runtime.devices x runtime.num_nodes is 1, but torchrun has started 2 processes" in refused


def test_again_nothing_runs(smoke: Project) -> None:
    assert smoke.executed(smoke.run("dvc", "repro")) == []


def test_a_learning_rate_is_an_experiment(smoke: Project, first_ids: dict[str, str]) -> None:
    output = smoke.run("dvc", "exp", "run", "--name", "slow", "-S", "align.lr=1e-6")
    assert smoke.executed(output) == [*ALIGNMENT, "evaluate", "register"]
    ids = smoke.run_ids()
    assert [stage for stage in STAGES if ids[stage] == first_ids[stage]] == STAGES[:4]
    first, slow = (runs_of(smoke, "evaluate")[name] for name in ("", "slow"))
    assert float(slow.data.params["align.lr"]) == 1e-6 != float(first.data.params["align.lr"])
    assert {*slow.data.params.items()} - {*first.data.params.items()} == {("align.lr", "1e-06")}
    assert first.data.metrics.keys() == slow.data.metrics.keys() >= {"x3.3/align_samples/psnr"}
    assert challenger_run(smoke) == ids["register"]
    rates = shown_rates(smoke)
    assert (rates["slow"], rates["master"]) == (1e-6, float(first.data.params["align.lr"]))
    compared = json.loads(smoke.run("arbiscale", "compare", "master", "slow", "--json"))
    assert {*compared["parameters"]} == {"align.lr"}
    by_id = smoke.run("arbiscale", "compare", first_ids["evaluate"], ids["evaluate"], "--json")
    assert json.loads(by_id)["gains"][ids["evaluate"]] == compared["gains"]["slow"]

    output = smoke.run("dvc", "exp", "run", "-S", f"align.lr={first.data.params['align.lr']}")
    assert smoke.executed(output) == []
    assert smoke.run_ids() == first_ids


@pytest.mark.parametrize(
    ("room", "rerun"),
    [
        ("tracking/store.py", []),
        ("pipeline/stage.py", []),
        ("cli/app.py", []),
        ("report/document.py", []),
        ("errors.py", []),
        ("inference/model.py", ["evaluate", "register"]),
        ("training/fit.py", TRAININGS),
        ("networks/denoiser.py", [*TRAININGS, "evaluate", "register"]),
    ],
)
def test_a_comment_reruns_what_its_room_decides(smoke: Project, room: str, rerun: list[str]) -> None:
    module = smoke.folder / "src/arbiscale" / room
    module.write_text(module.read_text() + "# a comment\n")
    assert smoke.executed(smoke.run("dvc", "repro", "--dry")) == rerun


@pytest.mark.parametrize(
    ("arguments", "rerun"),
    [
        (("-f", "-s", "evaluate"), ["evaluate"]),
        (("-f", "--downstream", "align_timesteps"), [*ALIGNMENT, "evaluate", "register"]),
        (("-f", "-s", "download"), ["download"]),
    ],
)
def test_documented_ways_to_force_stages(smoke: Project, arguments: list[str], rerun: list[str]) -> None:
    assert smoke.executed(smoke.run("dvc", "repro", "--dry", *arguments)) == rerun


def test_a_new_photograph_is_noticed(smoke: Project, photographs: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(photographs, own)
    (last := own / "e.png").rename(tmp_path / "e.png")
    params = smoke.folder / "params.yaml"
    text = params.read_text().replace("source: bundled", "source: folder", 1)
    params.write_text(re.sub(r"(?<=\n  folder:\n    path: )\S+", str(own), text, count=1))
    assert smoke.executed(smoke.run("dvc", "repro", "download")) == ["download"]
    assert smoke.executed(smoke.run("dvc", "repro", "download")) == []
    (tmp_path / "e.png").rename(last)
    output = smoke.run("dvc", "repro", "download")
    assert smoke.executed(output) == ["download"]
    assert "5 photographs of folder: +1, -0" in output


def test_a_loss_weight_retrains_the_alignment_only(smoke: Project) -> None:
    params = smoke.folder / "params.yaml"
    params.write_text(re.sub(r"(?<=\n  image_weight: )\S+", "2", params.read_text()))
    output = smoke.run("dvc", "repro", "--dry")
    assert smoke.executed(output)[:2] == ALIGNMENT


def test_experiments_elsewhere_are_recorded_here(
    smoke: Project, generation: str, first_ids: dict[str, str], tmp_path: Path
) -> None:
    assert smoke.executed(generation) == STAGES[1:]
    assert smoke.run_ids() == first_ids  # the workspace stayed as it was
    crop = runs_of(smoke, "crop")["generation"].info.run_id
    card = json.loads(Path(smoke.client().download_artifacts(crop, "card.json", str(tmp_path))).read_text())
    assert card["splits"]["train"]["crops"].keys() == {"48x80", "64x64"}
    run = runs_of(smoke, "evaluate")["generation"]
    assert run.info.status == "FINISHED"
    assert run.data.params["diffusion.task"] == "generation"
    assert any(name.endswith("self_ssim") for name in run.data.metrics)
    maker = runs_of(smoke, "register")["generation"]
    (version,) = smoke.client().search_model_versions(f"run_id = '{maker.info.run_id}'")
    model = f"models:/arbiscale/{version.version}"
    sizes = [part for size in ("32x32", "24x40", "40x48") for part in ("--size", size)]
    smoke.run("arbiscale", "generate", "drawn", "--model", model, *sizes, "--count", "1")
    drawn = {Image.open(each).size for each in (smoke.folder / "drawn").glob("*.png")}
    assert drawn == {(32, 32), (40, 24), (48, 40)}


def test_baselines_are_trained_measured_and_registered(
    smoke: Project, baselines: str, first_ids: dict[str, str]
) -> None:
    executed = smoke.executed(baselines)
    assert sorted(executed[:2]) == ["baselines@liif", "baselines@linf"]
    assert executed[2:] == ["evaluate", "register"]  # after what lies in a folder that they depend on
    assert smoke.run_ids() == first_ids  # the workspace stayed as it was
    trainings = {name: runs_of(smoke, name)["baselines"] for name in ("liif", "linf")}
    evaluation, maker = (runs_of(smoke, stage)["baselines"] for stage in ("evaluate", "register"))
    for name, run in trainings.items():
        assert run.info.status == "FINISHED"
        assert run.data.metrics.keys() >= {"train/loss", "validation/psnr"}
        assert f"x3.3/{name}/psnr" in evaluation.data.metrics
        assert evaluation.data.tags[f"upstream.{name}"] == run.info.run_id
        version = smoke.client().get_model_version_by_alias(f"arbiscale-{name}", "challenger")
        assert version.run_id == maker.info.run_id
        logged = smoke.client().get_logged_model(version.source.removeprefix("models:/")).metrics
        assert f"x3.3/{name}/psnr" in {each.key for each in logged}  # its own figures, and no other's
        assert {each.key.split("/")[-2] for each in logged} == {name}
        assert {each.run_id for each in logged} == {evaluation.info.run_id}
    assert trainings["linf"].data.params["baselines.linf.network.head.kind"] == "flow"
    assert trainings["linf"].data.metrics.keys() >= {"train/nll", "train/l1"}
    assert "upstream.liif" not in runs_of(smoke, "evaluate")[""].data.tags
    photograph, upscaled = "data/crops/test/coffee.png", smoke.folder / "by_linf.png"
    model = "models:/arbiscale-linf@challenger"
    smoke.run("arbiscale", "upscale", photograph, str(upscaled), "--size", "90x70", "--model", model)
    assert Image.open(upscaled).size == (70, 90)


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
