"""Whether a model may become the champion: paired differences on the same pictures decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pandas as pd

from arbiscale.config.named import by_name
from arbiscale.config.register import GateSettings
from arbiscale.errors import UserError
from arbiscale.evaluation.paired import protocol_of
from arbiscale.pipeline.gains import LEAST_SCENES, Gain, gain, gains_head

Role = Literal["gain", "regression"]
_HEADINGS: dict[Role, str] = {"gain": "one of these must hold", "regression": "all of these must hold"}


@dataclass(frozen=True)
class Finding(Gain):
    """What one condition of the gate found.

    Attributes:
        role: `gain`: better by more than the bound; `regression`: not worse by as much.
        bound: of params.yaml.
    """

    role: Role
    bound: float

    @property
    def undecided(self) -> str:
        """What keeps it from deciding anything; empty for nothing."""
        if not self.pictures:
            return "no picture was measured of both" if self.unmatched else "not measured"
        if self.unmatched:
            return f"{self.unmatched} pictures without a value"
        return "too few scenes" if self.scenes < LEAST_SCENES else ""

    @property
    def holds(self) -> bool:
        """Whether it surely holds: not where pictures lack a value, nor of one scene alone."""
        return not self.undecided and self.low > (self.bound if self.role == "gain" else -self.bound)

    @property
    def finding(self) -> str:
        """In some words."""
        return "holds" if self.holds else ": ".join(filter(None, ("does not hold", self.undecided)))


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
        findings = [each.values() | {"holds": each.holds} for each in self.findings]
        return {"holds": self.holds, "findings": findings}

    def reason(self) -> str:
        """In a line, why it holds or does not."""
        if self.holds:
            gained = (each for each in self._of("gain") if each.holds)
            return ", ".join(f"{each.metric} better by {each.difference:.4g}" for each in gained)
        lost = [each for each in self._of("regression") if not each.holds]
        usual = "worse than register.gate.regression allows, or not surely better"
        if not lost:
            lost, usual = self._of("gain"), "no sure gain (register.gate.gain)"
        why: dict[str, list[str]] = {}
        for each in lost:
            why.setdefault(each.undecided or usual, []).append(each.metric)
        return "; ".join(f"{', '.join(metrics)}: {words}" for words, metrics in why.items())


def decide(before: pd.DataFrame, after: pd.DataFrame, gate: GateSettings, seed: int = 0) -> Decision:
    """Compare the champion's lines of a table of scores with the candidate's.

    Scenes are resampled with all their pictures; those of all groups of the gate's protocols count alike.

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
            Finding(**asdict(gain(before, after, metric, seed)), role=role, bound=float(bound))
            for role in roles
            for metric, bound in by_name(getattr(gate, role)).items()
        )
    )


def _of_protocols(scores: pd.DataFrame, protocols: Sequence[str]) -> pd.DataFrame:
    return scores[scores["group"].map(protocol_of).isin(protocols)]


def table(decision: Decision, before: str, after: str) -> str:
    """The findings for a terminal."""
    lines = [f"{gains_head(before, after)}{'must be':>10}"]
    for role, heading in _HEADINGS.items():
        findings = [each for each in decision.findings if each.role == role]
        lines += [heading] if findings else []
        for each in findings:
            must = f"> {each.bound if role == 'gain' else -each.bound:g}"
            lines.append(f"{each.text()}{must:>10}  {each.finding}")
    return "\n".join(lines)
