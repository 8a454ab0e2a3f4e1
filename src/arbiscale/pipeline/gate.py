"""Whether a model may become the champion: paired differences on the same pictures decide."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from arbiscale.config.evaluate import by_name
from arbiscale.config.register import GateSettings
from arbiscale.errors import UserError
from arbiscale.evaluation.intervals import bootstrap_interval
from arbiscale.evaluation.paired import paired, protocol_of
from arbiscale.report.measures import Measure, measures

LEAST_PHOTOGRAPHS = 2  # one says nothing of others
Role = Literal["gain", "regression"]


@dataclass(frozen=True)
class Finding:
    """What one condition of the gate found.

    Attributes:
        role: `gain`: better by more than the bound; `regression`: not worse by as much.
        metric: by its name.
        bound: of params.yaml.
        before: the mean of the present champion.
        after: that of the candidate.
        difference: mean of what the candidate is better by, a picture; NaN = not measured.
        low: of its 95 % interval.
        high: likewise.
        pictures: that have a value in both.
        photographs: of these pictures.
        unmatched: pictures with a value in one of both only.
    """

    role: Role
    metric: str
    bound: float
    before: float
    after: float
    difference: float
    low: float
    high: float
    pictures: int
    photographs: int
    unmatched: int

    @property
    def holds(self) -> bool:
        """Whether it surely holds: not where pictures lack a value, nor of one photograph alone."""
        if self.unmatched or self.photographs < LEAST_PHOTOGRAPHS:
            return False
        return self.low > (self.bound if self.role == "gain" else -self.bound)


@dataclass(frozen=True)
class Decision:
    """What every condition of the gate found."""

    findings: tuple[Finding, ...]

    @property
    def holds(self) -> bool:
        """Whether something gains and nothing regresses."""
        return any(each.holds for each in self._of("gain")) and all(
            each.holds for each in self._of("regression")
        )

    def _of(self, role: Role) -> list[Finding]:
        return [each for each in self.findings if each.role == role]

    def values(self) -> dict[str, Any]:
        """As it is recorded."""
        findings = [asdict(each) | {"holds": each.holds} for each in self.findings]
        return {"holds": self.holds, "findings": findings}

    def reason(self) -> str:
        """In a line, why it holds or does not."""
        gained = [f"{each.metric} better by {each.difference:.4g}" for each in self._of("gain") if each.holds]
        lost = [each.metric for each in self._of("regression") if not each.holds]
        if self.holds:
            return ", ".join(gained)
        if lost:
            return f"{', '.join(lost)}: worse than register.gate.regression allows, or not surely better"
        return f"{', '.join(each.metric for each in self._of('gain'))}: no sure gain (register.gate.gain)"


def decide(before: pd.DataFrame, after: pd.DataFrame, gate: GateSettings, seed: int = 0) -> Decision:
    """Compare the champion's lines of a table of scores with the candidate's.

    Photographs are resampled with all their pictures; those of all groups of the gate's protocols count
    alike.

    Args:
        before: the champion's; see `arbiscale.evaluation.paired`.
        after: the candidate's, of the same evaluation.
        gate: `register.gate`.
        seed: of the bootstrap.

    Raises:
        UserError: a protocol of the gate is not in the evaluation.
    """
    there = {protocol_of(group) for group in after["group"].unique()}
    if not there & {*gate.protocols}:
        raise UserError(
            f"register.gate.protocols: the evaluation holds none of {', '.join(gate.protocols)} "
            f"(it holds {', '.join(sorted(there)) or 'nothing'})"
        )
    before, after = (_of_protocols(scores, gate.protocols) for scores in (before, after))
    roles: tuple[Role, ...] = ("gain", "regression")
    return Decision(
        tuple(
            _finding(role, metric, float(bound), before, after, seed)
            for role in roles
            for metric, bound in by_name(getattr(gate, role)).items()
        )
    )


def _of_protocols(scores: pd.DataFrame, protocols: Sequence[str]) -> pd.DataFrame:
    return scores[scores["group"].map(protocol_of).isin(protocols)]


def _finding(
    role: Role, metric: str, bound: float, before: pd.DataFrame, after: pd.DataFrame, seed: int
) -> Finding:
    (measure,) = measures([metric])
    both = paired(before, after, metric)
    both["gain"] = both["before"].map(measure.badness) - both["after"].map(measure.badness)
    matched = both[np.isfinite(both["gain"].astype(float))]
    unmatched = len(both) - len(matched)
    if matched.empty:
        return Finding(role, metric, bound, *(math.nan,) * 5, 0, 0, unmatched)
    gains = matched["gain"]
    low, high = bootstrap_interval(gains.to_numpy(), [*matched["photograph"]], seed)
    return Finding(
        role,
        metric,
        bound,
        before=float(matched["before"].mean()),
        after=float(matched["after"].mean()),
        difference=float(gains.mean()),
        low=low,
        high=high,
        pictures=len(matched),
        photographs=matched["photograph"].nunique(),
        unmatched=unmatched,
    )


def table(decision: Decision, before: str, after: str) -> str:
    """The findings for a terminal."""
    lines = [f"{'':12}{before:>14}{after:>14}{'better by':>12}{'95 % interval':>22}{'must be':>10}"]
    for each in decision.findings:
        (measure,) = measures([each.metric])
        must = f"> {each.bound if each.role == 'gain' else -each.bound:g}"
        if each.pictures:
            means = f"{_shown(measure, each.before):>14}{_shown(measure, each.after):>14}"
            interval = f"{each.low:+.4f} to {each.high:+.4f}"
            values = f"{means}{each.difference:>+12.4f}{interval:>22}"
        else:
            values = f"{'not measured':>62}"
        verdict = "holds" if each.holds else "does not hold"
        if each.unmatched:
            verdict += f": {each.unmatched} pictures without a value"
        elif 0 < each.photographs < LEAST_PHOTOGRAPHS:
            verdict += ": too few photographs"
        lines.append(f"{each.metric:12}{values}{must:>10}  {verdict}")
    counts = {(each.pictures, each.photographs) for each in decision.findings if each.pictures}
    both = [
        f"pictures: {pictures}, of photographs: {of}, the same for both" for pictures, of in sorted(counts)
    ]
    return "\n".join([*lines, *both])


def _shown(measure: Measure, value: float) -> str:
    return f"{measure.text(value)} {measure.unit}".strip()
