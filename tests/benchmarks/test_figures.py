import json
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.figures import Figure, as_table, write_figures

FIGURES = [
    Figure("decode", "s", 2.5),
    Figure("decode", "share", 0.83, at_least=0.8),
    Figure("backward", "memory", 0.61, at_most=0.5),
]


@pytest.mark.parametrize(
    ("figure", "met"),
    [
        (Figure("", "", 1.0), None),
        (Figure("", "", 0.8, at_least=0.8), True),
        (Figure("", "", 0.79, at_least=0.8), False),
        (Figure("", "", 0.5, at_most=0.5), True),
        (Figure("", "", 0.51, at_most=0.5), False),
    ],
)
def test_a_bar_is_met_or_missed(figure: Figure, met: bool | None) -> None:
    assert figure.met is met


def test_the_table_shows_every_figure_and_its_bar() -> None:
    console = Console(width=120, record=True, file=None, quiet=False)
    with console.capture() as shown:
        console.print(as_table(FIGURES, "here"))
    lines = [line.split() for line in shown.get().splitlines()]
    assert any(line[1:] == ["decode", "│", "s", "│", "2.5", "│", "│", "│"] for line in lines)
    assert any("0.83" in line and "0.8" in line and "met" in line for line in lines)
    assert any("0.61" in line and "0.5" in line and "missed" in line for line in lines)


def test_the_file_holds_figures_and_machine(tmp_path: Path) -> None:
    write_figures(tmp_path / "figures.json", FIGURES, {"threads": "2"})
    written = json.loads((tmp_path / "figures.json").read_text())
    assert written["machine"] == {"threads": "2"}
    assert [row["met"] for row in written["figures"]] == [None, True, False]
    assert written["figures"][1] == {
        "benchmark": "decode",
        "name": "share",
        "value": 0.83,
        "at_least": 0.8,
        "at_most": None,
        "low": None,
        "high": None,
        "met": True,
    }
