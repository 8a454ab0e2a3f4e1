"""Experiments of the smoke pipeline: in its workspace, and in one of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Run
from PIL import Image

from .conftest import ALIGNMENT, STAGES, Project

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("pipeline"),
    pytest.mark.usefixtures("first_state"),
]


def shown_rates(smoke: Project) -> dict[str, float]:
    """align.lr of every row of `dvc exp show`, by its name."""
    baselines = json.loads(smoke.run("dvc", "exp", "show", "--json"))
    rows = [row for baseline in baselines for row in (baseline, *experiments_of(baseline))]
    return {row["name"]: row["data"]["params"]["params.yaml"]["data"]["align"]["lr"] for row in rows}


def experiments_of(baseline: dict[str, Any]) -> list[dict[str, Any]]:
    return [each["revs"][0] for each in baseline.get("experiments") or []]


def runs_of(smoke: Project, stage: str) -> dict[str, Run]:
    """A stage's runs in the smoke's store, by the experiment's name (empty: none)."""
    runs = smoke.client().search_runs(["1"], f"tags.stage = '{stage}'")
    return {run.data.tags.get("dvc_experiment", ""): run for run in runs}


def challenger_run(smoke: Project) -> str:
    """The run that registered the challenger."""
    return str(smoke.client().get_model_version_by_alias("arbiscale", "challenger").run_id)


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
