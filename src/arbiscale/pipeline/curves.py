"""A training's curves in a file of their own, beside what the tracking store records."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from arbiscale.files import atomic_file
from arbiscale.tracking.store import StageRun

_JOURNAL = "curves.jsonl"  # in the folder of a stage's state
_PLOTTED = "train/"  # what the names of plotted metrics begin with: equal trainings give equal values


class CurveRecorder:
    """Passes curves, pictures and tags on to a run, and keeps the training's losses for `dvc plots`.

    Args:
        run: where everything goes.
        folder: of the stage's state; an interrupted training adds to the journal that lies there.
    """

    def __init__(self, run: StageRun, folder: Path) -> None:
        self._run = run
        self._journal = folder / _JOURNAL

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Record values at an optimizer step."""
        self._run.log_metrics(metrics, step)
        losses = {name: value for name, value in metrics.items() if name.startswith(_PLOTTED)}
        if losses:
            with self._journal.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({"step": step or 0, **losses}) + "\n")

    def log_image(self, name: str, image: np.ndarray, step: int | None = None) -> None:
        """Record a picture, uint8 (height, width, 3), at an optimizer step."""
        self._run.log_image(name, image, step)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Record what is true of the training as a whole."""
        self._run.set_tags(tags)

    def write(self, path: Path) -> None:
        """Write the losses as TSV, a line a step; nothing where none was recorded.

        Steps that were repeated after an interruption stand once, with the value recorded last.
        """
        if not self._journal.is_file():
            return
        rows: dict[int, dict[str, float]] = {}
        for line in self._journal.read_text(encoding="utf-8").splitlines():
            try:
                values = json.loads(line)
            except ValueError:  # half a line of a process that was killed; the step was repeated
                continue
            rows[values.pop("step")] = values
        names = sorted({name for values in rows.values() for name in values})
        with atomic_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
            table = csv.writer(stream, delimiter="\t", lineterminator="\n")
            table.writerow(["step", *names])
            table.writerows(
                [step, *(values.get(name, "") for name in names)] for step, values in sorted(rows.items())
            )
