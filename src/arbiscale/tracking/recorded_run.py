"""What an MLflow store holds of a run, read back (nothing here imports MLflow)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from arbiscale.tracking.store import Store


@dataclass(frozen=True)
class RecordedRun:
    """A run's tags, and (step, value) of its curves in the order of their steps."""

    tags: dict[str, str]
    curves: dict[str, list[tuple[int, float]]]


def read_run(store: Store, run_id: str, curves: Sequence[str] = ()) -> RecordedRun | None:
    """A run of whatever state; None if the store has none of that id, or it was deleted.

    Args:
        store: where it was recorded.
        run_id: as in runs/STAGE.json.
        curves: what the names of the metrics begin with whose values are read at every step.
    """
    run = store.find(run_id)
    if run is None:
        return None
    names = sorted(name for name in run.data.metrics if name.startswith(tuple(curves)))
    points = {}
    for name in names:
        history = store.client.get_metric_history(run_id, name)
        points[name] = sorted({each.step: each.value for each in history}.items())
    return RecordedRun(dict(run.data.tags), points)
