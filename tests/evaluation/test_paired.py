from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from arbiscale.evaluation.paired import paired, protocol_of, read_scores

CSV = """group,row,photograph,scene,picture,psnr,lpips
x2,bicubic,a,s,a-0,30,0.3
x2,bicubic,a,s,a-1,31,
x2,model,a,t,a-0,32,0.2
x2,model,a,t,a-1,30,0.1
x4,model,b,t,b-0,20,0.4
,,c,s,c-0,,
"""


@pytest.fixture
def scores(tmp_path: Path) -> pd.DataFrame:
    path = tmp_path / "scores.parquet"
    pd.read_csv(StringIO(CSV)).to_parquet(path)
    return read_scores(path)


def rows(scores: pd.DataFrame, row: str) -> pd.DataFrame:
    return scores[scores["row"] == row]


def test_pictures_of_one_photograph_are_told_apart(scores: pd.DataFrame) -> None:
    both = paired(rows(scores, "bicubic"), rows(scores, "model"), "psnr")
    assert both[["before", "after"]].fillna(-1).values.tolist() == [[30, 32], [31, 30], [-1, 20]]
    assert both["photograph"].tolist() == ["a", "a", "b"]
    assert both["scene"].tolist() == ["t", "t", "t"]


def test_a_value_that_one_row_lacks_is_seen(scores: pd.DataFrame) -> None:
    both = paired(rows(scores, "bicubic"), rows(scores, "model"), "lpips")
    assert [*np.isnan(both["before"])] == [False, True, True]
    assert paired(rows(scores, "bicubic"), rows(scores, "model"), "dists").empty


@pytest.mark.parametrize(
    ("group", "protocol"),
    [
        ("x2.7", "sample"),
        ("crops/x4", "crops"),
        ("benchmark/set5/x2", "benchmark"),
        ("generation", "generation"),
        ("xy/x2", "xy"),
    ],
)
def test_protocols(group: str, protocol: str) -> None:
    assert protocol_of(group) == protocol
