"""What a stage records of its run, in the run's journal; imports no MLflow."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arbiscale.tracking.address import shown
from arbiscale.tracking.journal import Journal

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class StageRun:
    """One run, of one executed stage. Recording goes to the journal: it neither waits nor raises."""

    id: str
    experiment_id: str
    started: float  # seconds since the epoch; of the first attempt where the run was resumed
    resumed: bool
    journal: Journal

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Record values (at an optimizer step); names may group by slashes but hold no '@'."""
        self.journal.log_metrics(dict(metrics), step)

    def log_params(self, parameters: Mapping[str, Any]) -> None:
        """Record parameters, without secrets; what a resumed run holds stays as it is."""
        self.journal.append("params", values={name: shown(str(value)) for name, value in parameters.items()})

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Record tags, without secrets."""
        self.journal.append("tags", values={name: shown(value) for name, value in tags.items()})

    def log_image(self, name: str, image: np.ndarray, step: int | None = None) -> None:
        """Record a picture, uint8 (height, width, 3); those of one name share a slider over steps."""
        from PIL import Image

        self.journal.log_image(name, step, Image.fromarray(image).save)

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Copy a file or a folder to the run, into `folder` of it."""
        copy = shutil.copytree if path.is_dir() else shutil.copyfile
        self.journal.log_artifact(path.name, folder, lambda target: copy(path, target))

    def log_dataset(self, name: str, digest: str, source: str, context: str) -> None:
        """Record data that the run reads, by their hash; the context is such as `training`."""
        self.journal.append("dataset", name=name, digest=digest, source=source, context=context)

    def link_figures(self, run_id: str, row: str, model_id: str) -> None:
        """Have a logged model show what a run, this or another, measured as metrics `GROUP/ROW/NAME`."""
        self.journal.append("figures", run=run_id, row=row, model=model_id)

    def log_text(self, text: str, name: str, folder: str) -> None:
        """Record a text as a file."""
        self.journal.log_artifact(name, folder, lambda target: target.write_text(text, encoding="utf-8"))
