"""Tables: means, and the files made of them."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from arbiscale.config.section import read_yaml
from arbiscale.evaluation.intervals import Interval
from arbiscale.evaluation.scores import Evaluation, OperatingPoint
from arbiscale.report.facts import Facts
from arbiscale.report.files import (
    ALWAYS,
    as_text,
    flat_metrics,
    flat_trade_off,
    points_of,
    write_intervals,
    write_plots,
    write_report,
)
from tests.stand_ins import scored

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def evaluation() -> Evaluation:
    bicubic = {"lpips": [math.nan, 0.5]}
    diffusion = {"psnr": [25.0, math.nan], "lpips": [0.25, 0.5]}
    found = scored(
        {
            "x2.7": {"bicubic": {"psnr": [30.0, 20.0], **bicubic}},
            "x4": {"bicubic": {"psnr": [28.0, 18.0], **bicubic}, "diffusion": diffusion},
        },
        seconds=0.8,
    )
    found.scores.loc[found.scores.row == "bicubic", "seconds"] = math.nan
    return found


def test_means_are_missing_where_any_picture_has_no_value(evaluation: Evaluation) -> None:
    assert evaluation.means() == {
        "x2.7": {"bicubic": {"psnr": 25.0}},
        "x4": {"bicubic": {"psnr": 23.0}, "diffusion": {"lpips": 0.375, "fps": 2.5}},
    }
    assert evaluation.problems() == ["x4/diffusion: 1 of 2 pictures hold NaN or infinity"]


def test_flat_metrics_are_all_there_are(evaluation: Evaluation) -> None:
    assert flat_metrics(evaluation.means()) == {
        "x2.7/bicubic/psnr": 25.0,
        "x4/bicubic/psnr": 23.0,
        "x4/diffusion/lpips": 0.375,
        "x4/diffusion/fps": 2.5,
    }


def plotted(file: Path) -> dict[str, dict[str, str]]:
    """The values of a file of scales, by scale and row; it has every column that `dvc plots` looks for."""
    lines = [*csv.DictReader(file.open())]
    plots = [plot for plots in read_yaml(REPOSITORY / "dvc.yaml")["plots"] for plot in plots.values()]
    columns = next(rows for plot in plots for name, rows in plot["y"].items() if name == "plots/psnr.csv")
    assert not lines or {*columns} <= {*lines[0]}
    return {line.pop("scale"): {row: value for row, value in line.items() if value} for line in lines}


def test_plots_have_a_line_a_scale_and_a_column_a_row(evaluation: Evaluation, tmp_path: Path) -> None:
    write_plots(tmp_path, evaluation.means())
    assert plotted(tmp_path / "psnr.csv") == {"2.7": {"bicubic": "25"}, "4": {"bicubic": "23"}}
    assert plotted(tmp_path / "lpips.csv") == {"2.7": {}, "4": {"diffusion": "0.375"}}


def test_generation_has_a_line_a_row(tmp_path: Path) -> None:
    write_plots(tmp_path, {"generation": {"diffusion": {"self_ssim": 0.5}}})
    assert {"generation.csv", "table.csv"} < {path.name for path in tmp_path.iterdir()}
    for metric in ALWAYS:  # dvc.yaml plots some
        assert plotted(tmp_path / f"{metric}.csv") == {}
    (line,) = csv.DictReader((tmp_path / "generation.csv").open())
    assert (line["row"], line["self_ssim"], line["psnr"]) == ("diffusion", "0.5", "")


def test_sizes_have_a_line_each_and_a_file_for_every_metric(tmp_path: Path) -> None:
    means = {
        f"generation/{size}": {"diffusion": found} for size, found in (("64x64", {"fid": 9.5}), ("64x96", {}))
    }
    write_plots(tmp_path, means | {"generation": {"diffusion": {"self_ssim": 0.5}}})
    assert (tmp_path / "generation/fid.csv").read_text() == "size,diffusion\n64x64,9.5\n64x96,\n"
    assert {"generation", "generation.csv", "table.csv"} < {path.name for path in tmp_path.iterdir()}


def test_one_table_holds_every_group_and_row(tmp_path: Path) -> None:
    means = {"x4": {"bicubic": {"psnr": 20.0}}, "generation/64x64": {"diffusion": {"fid": 9.5}}}
    write_plots(tmp_path, means)
    lines = {line["row"]: line for line in csv.DictReader((tmp_path / "table.csv").open())}
    assert {row: (line["psnr"], line["fid"]) for row, line in lines.items()} == {
        "x4 bicubic": ("20", ""),
        "generation/64x64 diffusion": ("", "9.5"),
    }


def test_a_protocols_plots_lie_in_a_folder_of_its_own(tmp_path: Path) -> None:
    rows = {"bicubic": {"psnr": 33.5}}
    write_plots(tmp_path, {"x4": {"bicubic": {"psnr": 20.0}}, "benchmark/set5/x2": rows})
    assert plotted(tmp_path / "psnr.csv") == {"4": {"bicubic": "20"}}
    assert (tmp_path / "benchmark/set5/psnr.csv").read_text() == "scale,bicubic\n2,33.5\n"


def test_trade_off_points_have_a_line_each(points: list[OperatingPoint]) -> None:
    values = points_of(Evaluation(pd.DataFrame(), trade_off=points[:2]))
    assert values == [
        {
            "row": "bicubic",
            "scale": 4,
            "steps": None,
            "eta": None,
            "temperature": None,
            "fidelity": None,
            "psnr": 23,
            "lpips": 0.5,
        },
        {
            "row": "diffusion",
            "scale": 4,
            "steps": 4,
            "eta": 0,
            "temperature": None,
            "fidelity": None,
            "psnr": 24.25,
            "lpips": 0.3125,
        },
    ]
    assert flat_trade_off(points[:2]) == {
        "trade_off/x4/bicubic/psnr": 23,
        "trade_off/x4/bicubic/lpips": 0.5,
        "trade_off/x4/diffusion/steps4_eta0/psnr": 24.25,
        "trade_off/x4/diffusion/steps4_eta0/lpips": 0.3125,
    }


@pytest.mark.parametrize("chosen", [slice(0), slice(None)])
def test_a_report_holds_the_points_where_there_are_some(
    chosen: slice, evaluation: Evaluation, points: list[OperatingPoint], facts: Facts, tmp_path: Path
) -> None:
    evaluation.trade_off = points[chosen]
    write_report(tmp_path / "reports", tmp_path / "plots", evaluation, facts, "diffusion", {"memory": 1.0})
    written = json.loads((tmp_path / "reports/evaluate.json").read_text())
    assert written == json.loads(json.dumps(evaluation.means())) | {"memory": 1.0} | (
        {"trade_off": points_of(evaluation)} if evaluation.trade_off else {}
    )
    head, *lines = (tmp_path / "plots/trade_off.csv").read_text().splitlines()
    assert head == "row,scale,steps,eta,temperature,fidelity,psnr,lpips"  # dvc.yaml plots it
    assert lines[:2] == (["bicubic,4,,,,,23,0.5", "diffusion,4,4,0,,,24.25,0.3125"] if lines else [])
    assert len(lines) == len(evaluation.trade_off)
    assert_frame_equal(pd.read_parquet(tmp_path / "reports/scores.parquet"), evaluation.scores)


def test_intervals_hold_mean_bounds_and_sample_size(tmp_path: Path) -> None:
    found = [Interval("x4", "diffusion", "bicubic", "psnr", 25.0, 24.5, 25.25, 10, 5)]
    write_intervals(tmp_path / "intervals.csv", found)
    (line,) = csv.DictReader((tmp_path / "intervals.csv").open())
    assert line == {
        "group": "x4", "row": "diffusion", "over": "bicubic", "metric": "psnr",
        "mean": "25", "low": "24.5", "high": "25.25", "pictures": "10", "scenes": "5",
    }  # fmt: skip


def test_the_table_shows_missing_values_as_dashes(evaluation: Evaluation) -> None:
    last = as_text(evaluation.means()).splitlines()[-1].split()
    assert last == ["x4", "diffusion", "-", "-", "0.375", "-", "-", "-", "2.500"]


def test_the_table_shows_further_metrics_with_as_many_digits_as_they_need() -> None:
    head, line = as_text({"generation/64x64": {"diffusion": {"fid": 12.3456, "kid": -0.00123}}}).splitlines()
    assert head.split() == [
        "psnr",
        "ssim",
        "lpips",
        "consistency",
        "self_ssim",
        "grid_energy",
        "fid",
        "kid",
        "fps",
    ]
    assert line.split()[-4:] == ["-", "12.346", "-0.00123", "-"]
