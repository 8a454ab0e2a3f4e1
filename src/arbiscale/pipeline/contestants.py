"""What can be compared: versions, runs and DVC's experiments, each with its scores and parameters."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from arbiscale.data.manifest import MANIFEST
from arbiscale.errors import UserError
from arbiscale.evaluation.paired import FILES, read_scores
from arbiscale.pipeline.comparison import FINISHED, Evaluated, identity, read_evaluation, recorded
from arbiscale.pipeline.gains import Gain, gains_by_group
from arbiscale.report.facts import read_parameters
from arbiscale.tracking.lineage import TracedRun, chain, manifest_hash
from arbiscale.tracking.store import Store
from arbiscale.tracking.versions import Version, named_version
from arbiscale.workspace import repository_root

_CUTS = ("evaluate.crop_px", "evaluate.crops_per_photograph")  # with others, equal names are other pictures
_CROPS, _PARAMS = Path("data/crops"), "params.yaml"


@dataclass(frozen=True)
class Contestant:
    """A model that was measured.

    Attributes:
        name: as it was given.
        title: what it is called in tables.
        parameters: by dotted key; empty where they were not recorded.
        evaluated: its scores.
        version: name and number of a registered model; None = it is none.
    """

    name: str
    title: str
    parameters: Mapping[str, str]
    evaluated: Evaluated
    version: str | None = None

    @property
    def scores(self) -> pd.DataFrame:
        """Its lines of the table."""
        return self.evaluated.of(self.evaluated.row)


def find_contestant(store: Store, what: str, model_name: str) -> Contestant:
    """What is meant by a version or alias, the id of a run, or an experiment or revision of DVC.

    A run of `evaluate`, of `register` and a revision mean the finished model; a training's run means the
    model that it made.

    Args:
        store: of runs and versions.
        what: as typed.
        model_name: the registered model, where only a number or an alias is given.

    Raises:
        UserError: nothing is called so, or it was not measured.
    """
    version = named_version(store, what, model_name)
    if version is not None:
        return _of_version(store, what, version)
    run = chain(store, what)[0]
    if run.tags:
        return _of_run(store, what, run)
    return _of_revision(what)


def _of_version(store: Store, what: str, version: Version) -> Contestant:
    found = recorded(store, version)
    if found is None:
        raise UserError(f"{what}: nothing was measured of version {version.number}; `arbiscale promote` does")
    runs = chain(store, version.run_id) if version.run_id else []
    parameters = {key: value for run in reversed(runs) for key, value in run.parameters.items()}
    registered = f"{version.name}/{version.number}"
    return Contestant(what, f"version {version.number}", parameters, found, registered)


def _of_run(store: Store, what: str, run: TracedRun) -> Contestant:
    if run.stage == "evaluate":
        evaluations = [run.id]
    elif run.stage == "register":
        evaluations = [each for stage, each in run.upstream.items() if stage == "evaluate"]
    else:
        where = f"tags.stage = 'evaluate' AND tags.`upstream.{run.stage}` = '{run.id}'"
        latest = ["attributes.start_time DESC"]
        evaluations = [each.info.run_id for each in store.search(where, order_by=latest)]
    for evaluation in evaluations:
        for row in (run.stage, FINISHED):
            if found := read_evaluation(store, evaluation, row):
                title = f"{run.tags.get('mlflow.runName', run.stage)} {run.id[:8]}"
                return Contestant(what, title, chain(store, evaluation)[0].parameters, found)
    raise UserError(f"{what}: no evaluation of this run ({run.stage or 'of no stage'}) has a row {FINISHED}")


def _of_revision(what: str) -> Contestant:
    """From Git and DVC's cache alone, so that an experiment's run need not be in this store."""
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / Path(name).name for name in (_PARAMS, FILES)}
        manifest = Path(folder) / MANIFEST
        for name, file in files.items():
            file.write_bytes(_read(what, name))
        manifest.write_bytes(_read(what, str(_CROPS / MANIFEST)))
        parameters = {key: str(value) for key, value in read_parameters(files[_PARAMS]).items()}
        scores = read_scores(files[FILES])
        found = Evaluated(scores, FINISHED, identity(parameters, manifest_hash(manifest)))
    return Contestant(what, what, parameters, found)


def _read(revision: str, name: str) -> bytes:
    import dvc.api
    from dvc.exceptions import DvcException

    try:
        return bytes(dvc.api.read(name, str(repository_root()), revision, mode="rb"))
    except DvcException:
        reason = f"has no {name} here; `dvc pull` or `dvc exp pull` fetches it"
        if name == _PARAMS:  # which every revision has
            known = "`arbiscale runs` and `dvc exp list` name some"
            reason = f"is no version, no run in the store and no experiment; {known}"
        raise UserError(f"{revision}: {reason}") from None


def differing_parameters(contestants: list[Contestant]) -> dict[str, list[str | None]]:
    """The values of each, by key, where they are not all the same; of those whose parameters are known."""
    known = [each.parameters for each in contestants if each.parameters]
    keys = sorted({key for parameters in known for key in parameters})
    return {
        key: [each.parameters.get(key) for each in contestants]
        for key in keys
        if len({parameters.get(key) for parameters in known}) > 1
    }


def gains_over(
    before: Contestant, after: Contestant, *, each_group: bool
) -> Iterator[tuple[str, list[Gain]]]:
    """What the second is better by, of every protocol or group that both have pictures of.

    Args:
        before: the one.
        after: the other.
        each_group: every scale or size by itself, not all of a protocol together.

    Raises:
        UserError: they share no pictures.
    """
    one, other = before.evaluated.identity, after.evaluated.identity
    cuts = [key for key in _CUTS if one.get(key) != other.get(key)]
    shared = _pictures(before) & _pictures(after)
    if cuts or not shared:
        why = f"{', '.join(cuts)} differs" if cuts else "no group and picture is in both"
        raise UserError(
            f"{before.name} and {after.name}: their evaluations share no pictures ({why}); measure both alike"
        )
    groups = {group for group, _ in shared}
    first, second = (each.scores[each.scores["group"].isin(groups)] for each in (before, after))
    yield from gains_by_group(first, second, each_group=each_group)


def _pictures(contestant: Contestant) -> set[tuple[str, str]]:
    """Group and name of each."""
    return {*contestant.scores[["group", "picture"]].itertuples(index=False, name=None)}
