"""The whole pipeline on the smoke preset: from scratch, again, and what a change has run again."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from PIL import Image

from .conftest import ALIGNMENT, STAGES, STEPS, TRAININGS, Project

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("pipeline"),
    pytest.mark.usefixtures("first_state"),
]


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
