"""Measured models held against each other: runs and versions of a store (experiments: tests/pipeline)."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from arbiscale.tracking.registry import EVALUATION_TAG, ROW_TAG
from arbiscale.tracking.store import Store, open_store
from tests.cli.running import run

PARAMS = (Path(__file__).parents[2] / "params.yaml").read_text()
Measure = Callable[..., str]


@pytest.fixture
def store(project: Path) -> Store:
    (project / "params.yaml").write_text(PARAMS)
    return open_store()


@pytest.fixture
def measure(store: Store, tmp_path: Path) -> Measure:
    """Records an evaluation of three photographs at two scales; returns its run."""

    def record(
        psnr: float,
        *,
        tags: dict[str, str] | None = None,
        data: str = "d",
        rows: tuple[str, ...] = ("align_samples",),
        pictures: str = "abc",
        **params: Any,
    ) -> str:
        lines = [
            {
                "group": f"x{scale}",
                "row": row,
                "photograph": name,
                "scene": name,
                "picture": f"{name}-0",
                "psnr": psnr + number + offset * 0.5,
                "lpips": 0.25,
                "seconds": 1.0,
            }
            for scale in (2, 4)
            for number, name in enumerate(pictures)
            for offset, row in enumerate(rows)
        ]
        file = tmp_path / "scores.parquet"
        pd.DataFrame(lines).to_parquet(file)
        known = {"evaluate.crop_px": 48, "seed": 0} | {key.replace("__", "."): v for key, v in params.items()}
        with store.run("evaluate", tags={"data_hash": data, **(tags or {})}, params=known) as recorded:
            recorded.log_artifact(file, "reports")
        return recorded.id

    return record


def test_two_runs(measure: Measure, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = measure(30, align__lr=1e-6), measure(30.5, align__lr=2e-6)
    assert run("compare", first, second) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["align.lr", "1e-06", "2e-06"] in lines
    assert not any(line[:1] == ["seed"] for line in lines)
    assert ["sample"] in lines
    assert [
        *("psnr", "31.00", "dB", "31.50", "dB", "+0.5000", "+0.5000", "to", "+0.5000", "6", "3", "better")
    ] in lines
    assert [
        *("lpips", "0.250", "0.250", "0.0000", "0.0000", "to", "0.0000", "6", "3", "the", "same")
    ] in lines


def test_several_are_each_compared_with_the_first(
    measure: Measure, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = [measure(30), measure(31), measure(29)]
    assert run("compare", *ids, "--groups", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert {*found["gains"]} == {*ids[1:]}
    gains = [found["gains"][each] for each in ids[1:]]
    assert [{*each} for each in gains] == [{"x2", "x4"}] * 2
    assert [each["x4"][0]["difference"] for each in gains] == [1, -1]
    assert [each["x4"][0]["verdict"] for each in gains] == ["better", "worse"]
    assert found["parameters"] == {}


def test_a_difference_that_is_not_shown_is_none(measure: Measure, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("compare", measure(30), measure(30.00001)) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("psnr"))
    assert line.endswith("the same")


def test_scores_that_are_half_there_are_none(
    store: Store, measure: Measure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged, whole = measure(30), measure(31)
    file = tmp_path / "scores.parquet"
    for content in (file.read_bytes()[:500], b""):
        file.write_bytes(content)
        store.client.log_artifact(damaged, str(file), "reports")
        assert run("compare", whole, damaged) == 2
        assert f"{damaged}: no evaluation of this run" in capsys.readouterr().err


def test_a_trainings_run_means_the_model_that_it_made(
    store: Store, measure: Measure, capsys: pytest.CaptureFixture[str]
) -> None:
    made = {}
    for stage in ("diffusion", "align_samples", "register"):
        with store.run(stage, tags={}, params={}) as training:
            made[stage] = training.id
    tags = {f"upstream.{stage}": made[stage] for stage in ("diffusion", "align_samples")}
    evaluation = measure(30, tags=tags, rows=("diffusion", "align_samples"))
    assert run("compare", made["diffusion"], made["align_samples"], "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["gains"][made["align_samples"]]["sample"][0]["difference"] == 0.5
    assert run("compare", made["register"], evaluation) == 2
    assert f"{made['register']}: no evaluation of this run (register)" in capsys.readouterr().err
    with store.run("register", tags={"upstream.evaluate": evaluation}, params={}) as registering:
        pass
    assert run("compare", registering.id, made["align_samples"], "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["gains"][made["align_samples"]]["sample"][0]["verdict"] == "the same"


def test_versions(
    store: Store, measure: Measure, project: Path, super_resolution_model: Path, capsys: Any
) -> None:
    shutil.copytree(super_resolution_model, project / "models/packed")
    assert run("register") == 0
    assert run("compare") == 2
    assert "arbiscale: has no champion to compare with; name two" in capsys.readouterr().err
    store.client.set_registered_model_alias("arbiscale", "champion", "1")
    assert run("compare", measure(30)) == 2
    assert "champion: nothing was measured of version 1" in capsys.readouterr().err
    for tag, value in ((EVALUATION_TAG, measure(30)), (ROW_TAG, "align_samples")):
        store.client.set_model_version_tag("arbiscale", "1", tag, value)
    assert run("compare") == 2
    assert "champion and challenger are both arbiscale/1; name others" in capsys.readouterr().err
    better = measure(31)
    assert run("compare", better) == 0
    shown = capsys.readouterr().out
    assert "champion: its parameters are not recorded here" in shown
    assert "against version 1" in shown
    assert "    before         after" in shown  # a run's name is too long
    assert "+1.0000" in shown


def test_what_cannot_be_compared(measure: Measure, capsys: pytest.CaptureFixture[str]) -> None:
    first = measure(30)
    for others, message in (
        ([measure(30, pictures="xyz")], "share no pictures (no group and picture is in both)"),
        ([measure(30, evaluate__crop_px=64)], "share no pictures (evaluate.crop_px differs)"),
        ([first], "name each once"),
        (["0" * 32], "is no version, no run in the store and no experiment"),
        (["models:/arbiscale/7"], "is no version, no run in the store and no experiment"),
    ):
        assert run("compare", first, *others) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line


def test_other_data_are_said(measure: Measure, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("compare", measure(30), measure(31, data="e", pictures="bcd")) == 0
    shown = capsys.readouterr().out
    assert "their data differ: photographs are matched by name" in shown
    assert "  4       2  4 pictures without a value" in shown
    assert "4 pictures without a value" in shown
