"""The losses of a training as a table that DVC plots: one row a recorded step, equal for equal runs."""

from __future__ import annotations

from pathlib import Path

from arbiscale.files import atomic_file
from arbiscale.tracking.journal import Journal

PREFIX = "train/"


def write_curves(journal: Journal, path: Path) -> None:
    """Write the losses of a run: `step`, then each in the order of their names, separated by tabs."""
    rows: dict[int, dict[str, float]] = {}
    for entry in journal.entries():
        if entry["kind"] == "metrics":
            losses = {name: value for name, value in entry["values"].items() if name.startswith(PREFIX)}
            if losses:
                rows.setdefault(entry["step"] or 0, {}).update(losses)
    names = sorted({name for row in rows.values() for name in row})
    table = [["step", *names]]
    table += [[str(step), *(str(rows[step].get(name, "")) for name in names)] for step in sorted(rows)]
    with atomic_file(path) as temporary:
        temporary.write_text("".join("\t".join(row) + "\n" for row in table), encoding="utf-8")
