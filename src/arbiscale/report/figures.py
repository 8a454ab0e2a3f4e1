"""The charts of a page: PSNR against LPIPS, every metric against the scale, learning curves, times."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from arbiscale.evaluation.scores import Means, OperatingPoint, Setting
from arbiscale.report.charts import bar_chart, line_chart, scatter_chart
from arbiscale.report.facts import Training
from arbiscale.report.measures import duration, label_of, measures
from arbiscale.report.series import Labels, Point, Series, Style
from arbiscale.report.table import places

_FIXED = {
    "bicubic": Style("muted", "square", (2, 3)),
    "lanczos": Style("muted", "diamond", (6, 2, 2, 2)),
    "autoencoder": Style("ink", "cross", (6, 3)),
    "other_latent": Style("muted", "cross", (1, 3)),
}
_MARKERS = ("circle", "square", "diamond", "triangle")
_COLOURS = 6  # variables hue-1 to hue-6 of page.css; the first is the last model's
_DASHES = ((), (5, 3), (1, 3), (5, 2, 1, 2))  # of a row's curves; the first is drawn as the row is elsewhere
_CURVE_POINTS = 240  # longer curves are shown as means of neighbours
_RATIO_OF_LOGARITHMS = 8.0  # largest / smallest value from which a loss is drawn logarithmically
_RATIO_OF_SCALES = 6.0


@dataclass(frozen=True)
class Figure:
    """A chart under its heading."""

    heading: str
    note: str
    chart: Markup


def styles(rows: Sequence[str], last: str) -> dict[str, Style]:
    """A style for every row, the last model's the strongest; baselines and controls are grey."""
    found = {row: style for row, style in _FIXED.items() if row in rows}
    found[last] = Style("hue-1", "circle", strong=True)
    others = [row for row in rows if row not in found]
    for index, row in enumerate(others):
        hue = 2 + index % (_COLOURS - 1)
        dash = () if index < _COLOURS - 1 else (5, 2)
        found[row] = Style(f"hue-{hue}", _MARKERS[(index + 1) % len(_MARKERS)], dash)
    return found


def planes(means: Means, look: Mapping[str, Style]) -> dict[str, list[Figure]]:
    """PSNR against LPIPS, a chart a group, by place; groups without both are left out."""
    psnr, lpips = measures(["psnr", "lpips"])
    found: dict[str, list[Figure]] = {}
    for place, groups in places(means).items():
        for group in groups:
            series = []
            for row, metrics in means[group.name].items():
                x, y = metrics.get("psnr"), metrics.get("lpips")
                if x is not None and y is not None:
                    series.append(Series(label_of(row), [(x, y)], look[row]))
            if series:
                values = [(each.name, *each.points[0]) for each in series]
                labels = Labels(
                    f"plane-{_identifier(group.name)}",
                    f"LPIPS against PSNR, {group.full_label}",
                    "; ".join(f"{name} {psnr.text(x)} dB, {lpips.text(y)}" for name, x, y in values),
                    f"{psnr.words} {psnr.arrow}",
                    f"{lpips.words} {lpips.arrow}",
                )
                chart = scatter_chart(labels, series, y_upwards=False)
                found.setdefault(place, []).append(Figure(group.label, "", chart))
    return found


def trade_offs(points: Sequence[OperatingPoint], look: Mapping[str, Style]) -> list[Figure]:
    """LPIPS against PSNR while one setting varies: a chart a scale, with curves of etas and temperatures."""
    psnr, lpips = measures(["psnr", "lpips"])
    found = []
    for scale in dict.fromkeys(point.scale for point in points):
        here = [point for point in points if point.scale == scale]
        curves: dict[tuple[str, str], list[OperatingPoint]] = {}
        for point in here:
            curves.setdefault((point.row, _common(point.setting)), []).append(point)
        rows = [row for row, _ in curves]
        series, tags = [], []
        for index, ((row, common), curve) in enumerate(curves.items()):
            dash = _DASHES[rows[:index].count(row) % len(_DASHES)] or look[row].dash
            name = ", ".join(filter(None, (label_of(row), common)))
            at = [(each.psnr, each.lpips) for each in curve]
            series.append(Series(name, at, replace(look[row], dash=dash)))
            tags.append([_tag(each) for each in curve])
        labels = Labels(
            f"trade-off-{_identifier(f'{scale:g}')}",
            f"LPIPS against PSNR over settings, ×{scale:g}",
            "; ".join(
                f"{label_of(each.row)} {each.setting}".rstrip()
                + f": {psnr.text(each.psnr)} dB, {lpips.text(each.lpips)}"
                for each in here
            ),
            f"{psnr.words} {psnr.arrow}",
            f"{lpips.words} {lpips.arrow}",
        )
        chart = scatter_chart(labels, series, y_upwards=False, tags=tags)
        found.append(Figure(f"×{scale:g}", "", chart))
    return found


def _common(setting: Setting) -> str:
    """What distinguishes a curve from others of its row."""
    by_eta = setting.varied == "steps" and setting.eta is not None
    return f"eta {setting.eta:g}" if by_eta else setting.varied or ""


def _tag(point: OperatingPoint) -> str:
    """The varied setting's value; the row's name where none varies."""
    varied = point.setting.varied
    return f"{point.setting.values[varied]:g}" if varied else label_of(point.row)


def against_scale(means: Means, look: Mapping[str, Style]) -> dict[str, list[Figure]]:
    """Every metric against the scale, a line a row, by place; places of one scale or none are left out."""
    found: dict[str, list[Figure]] = {}
    for place, groups in places(means).items():
        scaled = [(each.scale, means[each.name]) for each in groups if each.scale]
        scaled.sort(key=lambda pair: pair[0])
        if len(scaled) < 2:
            continue
        scales = [scale for scale, _ in scaled]
        for measure in measures(name for _, rows in scaled for metrics in rows.values() for name in metrics):
            series = []
            for row in dict.fromkeys(row for _, rows in scaled for row in rows):
                values = [(scale, rows.get(row, {}).get(measure.name)) for scale, rows in scaled]
                known = [(scale, value) for scale, value in values if value is not None]
                points = [point for point in known if point[1] > 0 or not measure.logarithmic]
                if points:
                    series.append(Series(label_of(row), points, look[row]))
            if series:
                labels = Labels(
                    f"scale-{_identifier(place)}-{measure.name}",
                    f"{measure.label} against the scale, {place}",
                    _in_words(series, measure.text),
                    "scale (output / input)",
                    measure.words,
                )
                chart = line_chart(
                    labels,
                    series,
                    x_ticks=scales,
                    x_prefix="×",
                    logarithmic_x=scales[-1] / scales[0] > _RATIO_OF_SCALES,
                    logarithmic_y=measure.logarithmic,
                )
                found.setdefault(place, []).append(Figure(measure.label, measure.direction, chart))
    return found


def _in_words(series: Sequence[Series], text: Callable[[float], str]) -> str:
    """The first and last value of every line."""
    ends = [(each.name, *(text(each.points[index][1]) for index in (0, -1))) for each in series]
    return "; ".join(f"{name} from {first} to {last}" for name, first, last in ends)


def learning_curves(training: Training) -> list[Figure]:
    """A stage's losses together, and its other curves one by one."""
    names = sorted(training.curves, key=lambda name: (name != "train/loss", name))  # its terms on top of it
    losses = {name: training.curves[name] for name in names if _is_loss(name)}
    others = {name: points for name, points in training.curves.items() if name not in losses}
    figures = []
    if losses:
        figures.append(_curves(training.stage, "loss", losses))
    for name, points in others.items():
        kind, _, metric = name.partition("/")
        (measure,) = measures([metric])
        figures.append(_curves(training.stage, f"{kind} {measure.words}", {name: points}))
    return figures


def _is_loss(name: str) -> bool:
    return name.startswith("train/") or name.endswith("/loss")


def _curves(stage: str, label: str, curves: Mapping[str, Sequence[Point]]) -> Figure:
    finite = {
        name: thinned([point for point in points if math.isfinite(point[1])])
        for name, points in curves.items()
    }
    drawn = {name: points for name, points in finite.items() if points}
    if not drawn:
        return Figure(f"{label_of(stage)}: {label}", "", Markup("<p>No finite value was recorded.</p>"))
    values = [value for points in drawn.values() for _, value in points]
    logarithmic = min(values) > 0 and max(values) / min(values) > _RATIO_OF_LOGARITHMS
    series = [
        Series(_curve_name(name, curves), points, _curve_style(name, index))
        for index, (name, points) in enumerate(drawn.items())
    ]
    named = label_of(stage)
    labels = Labels(
        f"curve-{_identifier(stage)}-{_identifier(label)}",
        f"{named}: {label} over training",
        _in_words(series, "{:.3g}".format),
        "optimizer steps",
        label,
    )
    chart = line_chart(labels, series, logarithmic_y=logarithmic, markers=len(values) <= 8, from_zero=True)
    return Figure(f"{named}: {label}", "logarithmic" if logarithmic else "", chart)


def _curve_name(name: str, curves: Mapping[str, Sequence[Point]]) -> str:
    """`train/loss` as `loss`, unless validation has one beside it."""
    kind, _, metric = name.partition("/")
    label = label_of(metric)
    return f"{label}, {kind}" if len({other.partition("/")[0] for other in curves}) > 1 else label


def _curve_style(name: str, index: int) -> Style:
    if name.startswith("validation/"):
        return Style("hue-1", "circle", strong=True)
    if name == "train/loss":
        return Style("ink", strong=True)
    return Style(f"hue-{2 + index % (_COLOURS - 1)}", "square", (3, 3))


def thinned(points: Sequence[Point], most: int = _CURVE_POINTS) -> list[Point]:
    """At most so many points of a curve: means over neighbours of equal number."""
    size = math.ceil(len(points) / most)
    if size <= 1:
        return list(points)
    parts = [points[start : start + size] for start in range(0, len(points), size)]
    return [(sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in parts]


def stage_times(seconds: Mapping[str, float]) -> Markup:
    """What every stage took, as bars."""
    bars = [(label_of(stage), spent, duration(spent)) for stage, spent in seconds.items()]
    values = "; ".join(f"{name} {text}" for name, _, text in bars)
    return bar_chart(Labels("stage-times", "Time of every stage", values, "seconds", ""), bars)


@dataclass(frozen=True)
class Times:
    """Time of a picture: a line a row, a cell a group."""

    place: str
    groups: list[str]
    lines: list[tuple[str, list[str]]]


def drawing_times(means: Means) -> list[Times]:
    """What every row took for a picture, sampling included; a table a place."""
    found = []
    for place, groups in places(means).items():
        lines = []
        for row in dict.fromkeys(row for group in groups for row in means[group.name]):
            rates = [means[group.name].get(row, {}).get("fps") for group in groups]
            if any(rates):
                lines.append((label_of(row), [duration(1 / rate) if rate else "–" for rate in rates]))
        found.append(Times(place, [group.label for group in groups], lines))
    return found


def _identifier(name: str) -> str:
    """A name as part of an element's id: letters, digits, and the code of whatever else there is."""
    return "".join(each if each.isascii() and each.isalnum() else f"-{ord(each):x}-" for each in name)
