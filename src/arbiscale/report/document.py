"""The page itself: everything of an evaluation in one file."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from arbiscale.evaluation.intervals import Interval
from arbiscale.evaluation.scores import Evaluation, Means
from arbiscale.evaluation.super_resolution import BASELINE
from arbiscale.files import atomic_file
from arbiscale.report import figures
from arbiscale.report.facts import Facts, shown_commit
from arbiscale.report.measures import duration, label_of
from arbiscale.report.pictures import EmbeddedPictures, select_pictures
from arbiscale.report.table import differences, group_of, places, tables

_HERE = Path(__file__).parent


def write_page(
    path: Path, evaluation: Evaluation, found: Sequence[Interval], facts: Facts, last: str
) -> None:
    """Write an evaluation as one HTML file; the same for the same arguments.

    Args:
        path: of the file.
        evaluation: what was found.
        found: its means' intervals.
        facts: where it came from.
        last: the row that stands out, of the last model.
    """
    text = render(evaluation, found, facts, last)
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def render(evaluation: Evaluation, found: Sequence[Interval], facts: Facts, last: str) -> str:
    """The page's text (see `write_page`)."""
    means = evaluation.means()
    rows = [*dict.fromkeys(row for group in means.values() for row in group)]
    look = figures.styles(rows, last)
    compared, lines = differences(found)
    embedded = EmbeddedPictures()
    shown = select_pictures(evaluation, facts.credits, last, embedded)
    style, script = ((_HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    return (
        _environment()
        .get_template("page.html.jinja")
        .render(
            policy=_policy(style, script),
            style=Markup(style),
            script=Markup(script),
            facts=facts,
            known=_known(facts),
            commit=shown_commit(facts.tags.get("git_commit"), facts.tags.get("git_dirty", "false") == "true"),
            last=label_of(last),
            baseline=BASELINE,
            summary=_summary(means),
            warnings=evaluation.problems(),
            compared=compared,
            differences=lines,
            tables=tables(evaluation, means, found),
            planes=figures.planes(means, look),
            trade_offs=figures.trade_offs(evaluation.trade_off, look),
            scales=figures.against_scale(means, look),
            shown=shown,
            curves=[figure for training in facts.trainings for figure in figures.learning_curves(training)],
            without_curves=[
                training.missing or f"No curve of {label_of(training.stage)} was recorded."
                for training in facts.trainings
                if not training.curves
            ],
            stage_times=figures.stage_times(_stage_seconds(facts)),
            drawing_times=figures.drawing_times(means),
            credits=sorted({(row.title, row.credit) for row in shown.rows() if row.credit}),
            content={"pictures": embedded.uris, "strips": [asdict(row) for row in shown.rows()]},
            heading=lambda group: group_of(group).heading,
        )
    )


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"duration": duration, "label": label_of, "parameter": _parameter}
    return environment


def _parameter(value: Any) -> str:
    """A parameter as it would stand in params.yaml, about."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _policy(style: str, script: str) -> str:
    """What the page may load: its own style and script, identified by their hashes, and embedded pictures."""
    own = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script))
    style_hash, script_hash = own
    return (
        f"default-src 'none'; style-src 'sha256-{style_hash}'; script-src 'sha256-{script_hash}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _summary(means: Means) -> list[str]:
    """What was evaluated: a line a place, and who drew."""
    lines = []
    for place, groups in places(means).items():
        scales = [group.label for group in groups if group.scale]
        rows = dict.fromkeys(label_of(row) for group in groups for row in means[group.name])
        at = f" at {', '.join(scales)}" if scales else ""
        lines.append(f"{label_of(place)}{at}: {', '.join(rows)}")
    return lines


def _known(facts: Facts) -> list[tuple[str, str]]:
    """Facts of one line each; those that are unknown are left out."""
    tags = facts.tags
    versions = [
        f"{name} {tags[key]}" for name, key in (("Python", "python"), ("torch", "torch")) if key in tags
    ]
    found = {
        "written": facts.written,
        "experiment": tags.get("dvc_experiment", ""),
        "data": tags.get("data_hash", "")[:16],
        "chosen on": tags.get("chosen_on", ""),
        "reported on": tags.get("reported_on", ""),
        "seed": str(facts.seed),
        "device": facts.device,
        "software": ", ".join(versions),
        "machine": tags.get("platform", ""),
    }
    return [(name, value) for name, value in found.items() if value]


def _stage_seconds(facts: Facts) -> dict[str, float]:
    known = {record.stage: record.seconds for record in facts.upstream if record.seconds is not None}
    return known | {"evaluate": facts.seconds}
