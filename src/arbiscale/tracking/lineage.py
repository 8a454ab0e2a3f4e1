"""From a picture, a version or a run back to the data: the chain of runs, as the store holds it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from arbiscale.data.manifest import MANIFEST
from arbiscale.files import content_hash, sha256_of_json
from arbiscale.tracking.moves import NEXT
from arbiscale.tracking.registry import HASH_TAG, with_hash
from arbiscale.tracking.store import Store
from arbiscale.tracking.versions import Version, find_uri

_UPSTREAM = "upstream."
_MEASURES = "evaluate"  # a stage that tells of a model and makes nothing of it
_DATA = "data/crops"  # as the trainings' data hash names it


@dataclass(frozen=True)
class TracedRun:
    """A run of a stage, as it was recorded.

    Attributes:
        id: MLflow's.
        depth: how many runs lie between it and the first one.
        stage: of the pipeline.
        status: of the run.
        started: seconds since the epoch.
        tags: all of them.
        parameters: those that the stage tracks.
    """

    id: str
    depth: int
    stage: str
    status: str
    started: float
    tags: dict[str, str]
    parameters: dict[str, str]

    @property
    def upstream(self) -> dict[str, str]:
        """The ids of the runs that it builds on, by stage."""
        found = (
            (key.removeprefix(_UPSTREAM), value)
            for key, value in self.tags.items()
            if key.startswith(_UPSTREAM)
        )
        return {} if self.stage == _MEASURES else dict(found)


def version_of_hash(store: Store, sha256: str, uri: str) -> Version | None:
    """The version of a model folder's hash: the one of that URI, else the first that has it."""
    named = find_uri(store, uri)
    if named is not None and named.tags.get(HASH_TAG) == sha256:
        return named
    return next(iter(with_hash(store, sha256)), None)


def run_of_hash(store: Store, sha256: str) -> str | None:
    """The first run that made a model folder of a hash."""
    oldest = ["attributes.start_time ASC"]
    found = store.search(f"tags.{HASH_TAG} = '{sha256}'", order_by=oldest, max_results=1)
    return str(found[0].info.run_id) if found else None


def chain(store: Store, run_id: str) -> list[TracedRun]:
    """A run and those that it builds on, each once, a run before what is upstream of it.

    What the store does not have any more has the status `not in this store` and no more.
    """
    found: dict[str, TracedRun] = {}

    def follow(run_id: str, stage: str, depth: int) -> None:
        if run_id in found:
            return
        run = store.find(run_id)
        if run is None:
            found[run_id] = TracedRun(run_id, depth, stage, "not in this store", 0.0, {}, {})
            return
        tags = dict(run.data.tags)
        stage = tags.get("stage", stage)
        tracked = {key: value for key, value in run.data.params.items() if not key.startswith(f"{NEXT}.")}
        found[run_id] = traced = TracedRun(
            run_id, depth, stage, run.info.status, run.info.start_time / 1000, tags, tracked
        )
        for name, upstream in sorted(traced.upstream.items(), key=_order):
            follow(upstream, name, depth + 1)

    follow(run_id, "", 0)
    return list(found.values())


def _order(upstream: tuple[str, str]) -> tuple[bool, bool, str]:
    """What made the model first, then its data, then what measured it."""
    stage, _ = upstream
    return stage == _MEASURES, stage == "crop", stage


@dataclass(frozen=True)
class TracedData:
    """The crops that a chain of runs learned from.

    Attributes:
        data_hash: of the trainings.
        manifest: of the run `crop`, as text; empty where the store does not have it.
        recorded: whether that manifest has the trainings' hash.
        here: whether the workspace's has; None where there is none.
    """

    data_hash: str
    manifest: str
    recorded: bool
    here: bool | None


def data_of(store: Store, runs: list[TracedRun]) -> TracedData | None:
    """The data behind a chain; None where no run of it learned from crops."""
    hashes = [
        run.tags["data_hash"]
        for run in runs
        if run.stage not in ("crop", _MEASURES) and "data_hash" in run.tags
    ]
    if not hashes:
        return None
    crops = [run.id for run in runs if run.stage == "crop" and run.tags]
    with tempfile.TemporaryDirectory() as folder:
        manifest = store.download_artifact(crops[0], MANIFEST, Path(folder)) if crops else None
        text = manifest.read_text(encoding="utf-8") if manifest else ""
        recorded = manifest is not None and manifest_hash(manifest) == hashes[0]
    own = Path(_DATA) / MANIFEST
    return TracedData(hashes[0], text, recorded, manifest_hash(own) == hashes[0] if own.is_file() else None)


def manifest_hash(manifest: Path) -> str:
    """The data hash of crops with this manifest, as `StageInputs.data_hash` makes it."""
    return sha256_of_json({_DATA: content_hash(manifest)})
