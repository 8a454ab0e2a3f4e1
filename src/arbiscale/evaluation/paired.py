"""Scores of pictures as a table that is kept, and the pictures that two rows of such tables share."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

FILES = "reports/scores.parquet"  # among the artifacts of a run of `evaluate`
_KEYS = ["group", "photograph", "picture"]


def read_scores(path: Path) -> pd.DataFrame:
    """A line a picture, row and group, as `Evaluation.scores` has them; without pictures left out."""
    return pd.read_parquet(path).dropna(subset="row")


def paired(before: pd.DataFrame, after: pd.DataFrame, metric: str) -> pd.DataFrame:
    """One metric of two rows, picture by picture.

    Args:
        before: the lines of one row.
        after: those of another, perhaps of another table.
        metric: a column.

    Returns:
        Columns group, photograph, picture, before, after, scene (as the other row's table has it); a picture
        that only one row has is NaN in the other. Empty where neither row has the metric.
    """
    columns = [
        scores.set_index(_KEYS)[metric].rename(name)
        for name, scores in (("before", before), ("after", after))
        if metric in scores
    ]
    if not columns:
        return pd.DataFrame(columns=[*_KEYS, "before", "after", "scene"])
    known = pd.concat([after, before]).drop_duplicates(_KEYS).set_index(_KEYS)
    both = pd.concat(columns, axis=1).reindex(columns=["before", "after"])
    both = both.assign(scene=known["scene"]).reset_index()
    return both.dropna(how="all", subset=["before", "after"])


def protocol_of(group: str) -> str:
    """The protocol of a group such as `x2.7`, `generation` or `benchmark/set5/x2`."""
    name = group.partition("/")[0]
    return "sample" if name.startswith("x") and name[1:2].isdigit() else name
