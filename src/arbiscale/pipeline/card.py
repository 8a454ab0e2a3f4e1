"""A version's model card: what it is, what it was measured at, what it learned from, and its limits."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
from safetensors import safe_open

from arbiscale.config.section import read_yaml
from arbiscale.data.manifest import Part, parts_of
from arbiscale.evaluation.intervals import bootstrap_interval
from arbiscale.evaluation.super_resolution import BASELINE
from arbiscale.models.folder import CONFIG
from arbiscale.pipeline.comparison import Evaluated, recorded
from arbiscale.report.measures import interval_text, measures
from arbiscale.report.table import group_of
from arbiscale.tracking.lineage import TracedData, TracedRun, chain, data_of
from arbiscale.tracking.registry import EVALUATION_TAG
from arbiscale.tracking.store import Store
from arbiscale.tracking.versions import Version, find_version

LONGEST = 5000  # characters that MLflow keeps
_METRICS = ("psnr", "lpips", "consistency", "self_ssim")
_SHEETS, _SHOWN = "reports/sheets", "/x4.png"  # among the artifacts of `evaluate`
_UNTRAINED = ("download", "crop", "evaluate", "register")
_FIRST = re.compile(r"\A(?:[^#\n].*\n\n)?(?=# )")  # what stands before the heading
_MEASURED = re.compile(r"^## Measured\n.*?(?=^## |\Z)", re.DOTALL | re.MULTILINE)
_LIMITS = {
    "super_resolution": (
        "It learned from clean photographs that were shrunk by the bicubic kernel: JPEG damage, noise and "
        "blur are kept and sharpened.",
        "What it adds is plausible, not known: no evidence of what was in front of the camera, no means to "
        "identify people or to diagnose.",
        "Beyond the scales that were measured, edges stay sharp and texture is missing.",
    ),
    "generation": (
        "It draws textures like those of its photographs, not scenes that exist.",
        "Sizes other than those that were measured may repeat structure.",
    ),
}


def write_card(store: Store, name: str, number: int, folder: Path) -> None:
    """Make the card of a version its description in the registry.

    Args:
        store: of the registry.
        name: of the registered model.
        number: of the version.
        folder: its model folder.
    """
    version = find_version(store, name, str(number))
    if version is not None:
        card = model_card(store, version, folder)
        store.client.update_model_version(name, str(number), card)


def renew_figures(store: Store, version: Version, run_id: str, found: Evaluated) -> None:
    """Have a version's card say what was measured last; whatever else was written there stays."""
    name, number = version.name, str(version.number)
    card = store.client.get_model_version(name, number).description or ""
    renewed = _MEASURED.sub(lambda _: "\n".join(_measured(_linked(store, run_id), found)) + "\n\n", card)
    renewed = _FIRST.sub(lambda _: "".join(f"{line}\n\n" for line in _summary(found)), renewed)
    if renewed != card and len(renewed) <= LONGEST:
        store.client.update_model_version(name, number, renewed)


def model_card(store: Store, version: Version, folder: Path) -> str:
    """The card as Markdown, of at most `LONGEST` characters; what is not known is said."""
    runs = chain(store, version.run_id) if version.run_id else []
    evaluation = version.tags.get(EVALUATION_TAG, "")
    found = recorded(store, version)
    sections = [
        _summary(found),
        _head(version, folder),
        _measured(_linked(store, evaluation), found),
        ("## Limits", "", *(f"- {each}" for each in _LIMITS[_task(read_yaml(folder / CONFIG))])),
        _data(data_of(store, runs)),
        _training(runs),
        _pictures(store, evaluation),
    ]
    text = "\n\n".join(filter(None, ("\n".join(lines) for lines in sections))) + "\n"
    return text if len(text) <= LONGEST else text[: LONGEST - 4].rpartition("\n")[0] + "\n...\n"


def _task(config: Mapping[str, Any]) -> str:
    return str((config.get("diffusion") or {}).get("task", "super_resolution"))


def _summary(found: Evaluated | None) -> Iterator[str]:
    """A line of figures, the only one that MLflow's list of versions shows."""
    groups = [] if found is None else [*found.of(found.row)["group"].unique()]
    if found is None or not groups:
        return
    group = "x4" if "x4" in groups else groups[-1]
    own, other = (_means(found.of(row), group) for row in (found.row, BASELINE))
    known = [each for each in measures(_METRICS) if each.name in own][:2]

    def shown(means: Mapping[str, float]) -> str:
        there = (each for each in known if each.name in means)
        return ", ".join(f"{each.label} {each.text(means[each.name])} {each.unit}".strip() for each in there)

    if known:
        against = f" ({BASELINE}: {shown(other)})" if shown(other) else ""
        yield f"{shown(own)} at {group_of(group).full_label}{against}"


def _means(lines: pd.DataFrame, group: str) -> dict[str, float]:
    """Of every metric that each picture of a group has."""
    means = lines[lines["group"] == group].mean(numeric_only=True, skipna=False)
    return {str(name): value for name, value in means.items() if math.isfinite(value)}


def _head(version: Version, folder: Path) -> Iterator[str]:
    config = read_yaml(folder / CONFIG)
    yield f"# {version.name} {version.number}"
    yield ""
    what = {
        "super_resolution": "Upscales pictures by any factor.",
        "generation": "Draws pictures of any size.",
    }
    parameters, size = _size(folder)
    yield f"{what[_task(config)]} {parameters:,} parameters, {size / 1e6:.1f} MB."
    sampling = config.get("sampling")
    if sampling:
        yield f"Sampled by {sampling['sampler']} in {sampling['steps']} steps unless told otherwise."
    yield f"Draw with it: `arbiscale upscale photo.jpg large.png --scale 3.7 --model {version.uri}`"


def _size(folder: Path) -> tuple[int, int]:
    """Of the weights: numbers and bytes."""
    files, numbers = [*folder.glob("*.safetensors")], 0
    for file in files:
        with safe_open(file, "np") as tensors:
            names = tensors.keys()
            numbers += sum(math.prod(tensors.get_slice(name).get_shape()) for name in names)
    return numbers, sum(file.stat().st_size for file in files)


def _measured(where: str, found: Evaluated | None) -> Iterator[str]:
    yield "## Measured"
    yield ""
    if found is None:
        yield "Nothing is recorded."
        return
    scores = found.scores
    known = [each for each in measures(_METRICS) if each.name in scores and scores[each.name].notna().any()]
    yield f"On held-out photographs, with 95 % intervals over their scenes (run {where}):"
    yield ""
    yield "| | " + " | ".join(f"{each.words} {each.arrow}" for each in known) + " |"
    yield "|---" * (len(known) + 1) + "|"
    for group in scores["group"].unique():
        for row, label in ((BASELINE, BASELINE), (found.row, "this")):
            lines = scores[(scores["group"] == group) & (scores["row"] == row)]
            if lines.empty:
                continue
            cells = []
            for each in known:
                values = lines[each.name].to_numpy(float)
                if not np.isfinite(values).all():
                    cells.append("–")
                    continue
                interval = interval_text(
                    *bootstrap_interval(values, [*lines["scene"]], 0), shown_as=each.text
                )
                cells.append(each.text(float(values.mean())) + f" ({interval})" * bool(interval))
            yield f"| {group_of(group).full_label} {label} | " + " | ".join(cells) + " |"


def _data(data: TracedData | None) -> Iterator[str]:
    yield "## Data"
    yield ""
    if data is None or not data.manifest:
        yield "Not recorded in this store."
        return
    manifest = json.loads(data.manifest)
    parts = parts_of(manifest)
    train = parts.get("train", Part(0, 0, []))
    yield f"{train.crops} crops of {train.photographs} photographs, sha256 {data.data_hash}."
    for split, part in sorted(parts.items(), key=lambda each: each[0] != "train"):
        named = [f"{name} ({manifest['credits'].get(name, 'licence not recorded')})" for name in part.names]
        more = part.photographs - len(named)
        rest = f" and {more} more" if more else ""
        yield f"- {split}: {', '.join(named)}{rest}"


def _linked(store: Store, run_id: str) -> str:
    """A run's id, as a link to its page."""
    run = store.find(run_id)
    return f"[{run_id}](#/experiments/{run.info.experiment_id}/runs/{run_id})" if run else run_id


def _pictures(store: Store, run_id: str) -> Iterator[str]:
    """One of an evaluation's sheets, as MLflow's server gives it to its own page."""
    sheets = (
        [each for each in store.list_artifacts(run_id, _SHEETS) if each.endswith(".png")] if run_id else []
    )
    if sheets:
        shown = next((each for each in sheets if each.endswith(_SHOWN)), sheets[-1])
        yield "## Pictures"
        yield ""
        yield f"![{shown}](get-artifact?path={quote(shown)}&run_uuid={run_id})"


def _training(runs: list[TracedRun]) -> Iterator[str]:
    yield "## Training"
    yield ""
    trained = [run for run in runs if run.tags and run.stage not in _UNTRAINED]
    if not trained:
        yield "Not recorded in this store."
        return
    yield "| stage | parameters | commit | run |"
    yield "|---|---|---|---|"
    for run in reversed(trained):
        shown = {
            key.rpartition(".")[2]: value
            for key, value in sorted(run.parameters.items())
            if key.endswith((".steps", ".batch_size", ".lr")) and "sampling" not in key
        }
        values = ", ".join(f"{name} {value}" for name, value in shown.items())
        commit = run.tags.get("git_commit", "unknown")[:10]
        yield f"| {run.stage} | {values} | {commit} | {run.id} |"
