"""The losses of a training as a table that DVC plots: one row a recorded step, equal for equal runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from arbiscale.files import atomic_file
from arbiscale.tracking.store import StageRun

PREFIX = "train/"


class CurveRecorder:
    """Passes on to a run what a training records, and keeps the losses for the table.

    They are appended to a file beside the checkpoints, so that a resumed training gives the whole curve.
    """

    def __init__(self, run: StageRun, journal: Path) -> None:
        self._run = run
        self._journal = journal

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Record values at an optimizer step; those under train/ are losses."""
        self._run.log_metrics(metrics, step)
        names = [name for name in metrics if name.startswith(PREFIX)]
        if names:
            losses = {name: metrics[name] for name in names}
            with self._journal.open("a", encoding="utf-8") as file:
                file.write("\n" + json.dumps({"step": step or 0, **losses}))

    def log_image(self, name: str, image: np.ndarray, step: int | None = None) -> None:
        """Record a picture, uint8 (height, width, 3), at an optimizer step."""
        self._run.log_image(name, image, step)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Record what is true of the training as a whole."""
        self._run.set_tags(tags)

    def write(self, path: Path) -> None:
        """Write the table: `step`, then the losses in the order of their names, separated by tabs."""
        rows: dict[int, dict[str, float]] = {}
        lines = self._journal.read_text(encoding="utf-8").splitlines() if self._journal.is_file() else []
        for line in lines:
            try:
                row = json.loads(line)
            except ValueError:
                continue  # empty, or cut off by the end of a process: its successor has repeated that step
            rows[row.pop("step")] = row
        names = sorted({name for row in rows.values() for name in row})
        table = [["step", *names]]
        table += [[str(step), *(str(rows[step].get(name, "")) for name in names)] for step in sorted(rows)]
        with atomic_file(path) as temporary:
            temporary.write_text("".join("\t".join(row) + "\n" for row in table), encoding="utf-8")
