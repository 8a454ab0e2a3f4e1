"""The tables: groups by place, cells with intervals, gains picture by picture."""

from __future__ import annotations

import math

import pytest

from arbiscale.evaluation.intervals import intervals
from arbiscale.evaluation.scores import Evaluation
from arbiscale.report.table import differences, group_of, tables
from tests.stand_ins import scored


def scores(groups: dict[str, dict[str, list[float]]], seconds: float | None = None) -> Evaluation:
    """An evaluation with these PSNRs, by group and row."""
    return scored(
        {group: {row: {"psnr": psnr} for row, psnr in rows.items()} for group, rows in groups.items()},
        seconds,
    )


@pytest.mark.parametrize(
    ("name", "place", "label", "full_label"),
    [
        ("x2.7", "sample", "×2.7", "×2.7"),
        ("benchmark/set5/x4", "benchmark/set5", "×4", "benchmark/set5 ×4"),
        ("generation", "generation", "generation", "generation generation"),
        ("generation/64x96", "generation", "64x96", "generation 64x96"),
        ("benchmark/xmas/x2", "benchmark/xmas", "×2", "benchmark/xmas ×2"),
    ],
)
def test_groups_are_told_by_their_names(name: str, place: str, label: str, full_label: str) -> None:
    group = group_of(name)
    assert (group.place, group.label, group.full_label) == (place, label, full_label)


def test_a_place_has_a_table_with_a_body_for_every_group() -> None:
    rows = {"bicubic": [20.0, 22.0, 21.0], "diffusion": [23.0, 25.0, 24.0]}
    evaluation = scores({"x2": rows, "x4": rows, "benchmark/set5/x4": rows}, seconds=1.5)
    evaluation.scores.loc[evaluation.scores.row == "bicubic", "seconds"] = math.nan
    made = tables(evaluation, evaluation.means(), [*intervals(evaluation, "diffusion", 0)])
    assert [(table.place, [body.label for body in table.bodies]) for table in made] == [
        ("sample", ["×2", "×4"]),
        ("benchmark/set5", ["×4"]),
    ]
    assert [measure.label for measure in made[0].columns] == ["PSNR", "Speed"]
    body = made[0].bodies[0]
    assert (body.pictures, body.scenes) == (3, 3)
    bicubic, diffusion = body.lines
    assert bicubic.cells[0].text == "21.00"
    assert bicubic.cells[0].interval.startswith("20.")
    assert [line.cells[0].best for line in (bicubic, diffusion)] == [False, True]
    assert [line.cells[1].text for line in (bicubic, diffusion)] == ["–", "2.00"]
    assert bicubic.cells[1].value is None


def test_the_last_model_is_compared_with_every_other_row() -> None:
    rows = {"bicubic": [10.0, 20.0, 30.0], "other": [11.0, 22.0, 30.0], "diffusion": [11.0, 21.0, 31.0]}
    evaluation = scores({"x4": rows, "x8": {"diffusion": [11.0]}})
    (psnr,), lines = differences([*intervals(evaluation, "diffusion", 0)])
    assert psnr.label == "PSNR"
    assert [(line.label, line.over, line.cells) for line in lines] == [
        ("×4", "bicubic", [("+1.00", "+1.00 to +1.00")]),
        ("×4", "other", [("0.00", "−1.00 to +1.00")]),
    ]


def test_differences_are_missing_where_values_are() -> None:
    rows = {
        "bicubic": {"psnr": [10.0, 20.0], "ssim": [0.5, 0.5]},
        "diffusion": {"psnr": [11.0, math.nan], "ssim": [0.5, 0.75]},
    }
    measures, (line,) = differences([*intervals(scored({"x4": rows}), "diffusion", 0)])
    assert [measure.name for measure in measures] == ["ssim"]
    assert line.cells == [("+0.125", "0.000 to +0.250")]


def test_one_scene_has_means_and_differences_without_intervals() -> None:
    evaluation = scores({"x4": {"bicubic": [10.0], "diffusion": [11.0]}})
    found = [*intervals(evaluation, "diffusion", 0)]
    ((body,),) = (table.bodies for table in tables(evaluation, evaluation.means(), found))
    assert [(line.cells[0].text, line.cells[0].interval) for line in body.lines] == [
        ("10.00", ""),
        ("11.00", ""),
    ]
    (difference,) = differences(found)[1]
    assert difference.cells == [("+1.00", "")]
