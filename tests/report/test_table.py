"""The tables: groups by place, cells with intervals, gains picture by picture."""

from __future__ import annotations

import math

import pytest
import torch

from arbiscale.evaluation.intervals import intervals
from arbiscale.evaluation.scores import Evaluation
from arbiscale.report.table import gains, group_of, tables


def scores(groups: dict[str, dict[str, list[float]]]) -> Evaluation:
    """An evaluation with these PSNRs, by group and row, of photographs a, b, c."""
    found = Evaluation()
    for group, rows in groups.items():
        for row, psnr in rows.items():
            names = list("abc"[: len(psnr)])
            found.add(group, row, names, torch.zeros(len(psnr), 3, 1, 1), {"psnr": psnr})
    return found


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
    evaluation = scores({"x2": rows, "x4": rows, "benchmark/set5/x4": rows})
    evaluation.add_time("x2", "diffusion", 3, 1.5)
    made = tables(evaluation, evaluation.means(), [*intervals(evaluation, 0)])
    assert [(table.place, [body.label for body in table.bodies]) for table in made] == [
        ("sample", ["×2", "×4"]),
        ("benchmark/set5", ["×4"]),
    ]
    assert [measure.label for measure in made[0].columns] == ["PSNR", "Speed"]
    body = made[0].bodies[0]
    assert (body.pictures, body.photographs) == (3, 3)
    bicubic, diffusion = body.lines
    assert bicubic.cells[0].text == "21.00"
    assert bicubic.cells[0].interval.startswith("20.")
    assert [line.cells[0].best for line in (bicubic, diffusion)] == [False, True]
    assert [line.cells[1].text for line in (bicubic, diffusion)] == ["–", "2.00"]
    assert bicubic.cells[1].value is None


def test_a_gain_is_as_sure_as_the_differences_are_alike() -> None:
    evaluation = scores({"x4": {"bicubic": [10.0, 20.0, 30.0], "diffusion": [11.0, 21.0, 31.0]}})
    (psnr,), (line,) = gains(evaluation, "diffusion", 0)
    assert psnr.label == "PSNR"
    assert (line.label, line.cells) == ("×4", [("+1.00", "+1.00 to +1.00")])


def test_gains_are_missing_where_values_or_rows_are() -> None:
    evaluation = scores(
        {
            "x4": {"bicubic": [10.0, 20.0], "diffusion": [11.0, math.nan]},
            "x8": {"diffusion": [11.0]},
            "generation": {"autoencoder": [1.0]},
        }
    )
    _, lines = gains(evaluation, "diffusion", 0)
    assert [(line.label, line.cells) for line in lines] == [("×4", [("–", "")])]
