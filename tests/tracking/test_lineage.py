import json
from pathlib import Path

import pytest

from arbiscale.files import content_hash, sha256_of_json
from arbiscale.tracking.lineage import chain, data_of, run_of_hash, version_of_hash
from arbiscale.tracking.moves import move
from arbiscale.tracking.registry import HASH_TAG
from arbiscale.tracking.store import Store, open_store
from arbiscale.tracking.versions import create_version, named_version, versions_of


@pytest.fixture
def store(project: Path) -> Store:
    return open_store()


def run(store: Store, stage: str, manifest: Path | None = None, **tags: str) -> str:
    with store.run(stage, tags=tags, params={"seed": 0}) as made:
        if manifest:
            made.log_artifact(manifest)
    return made.id


@pytest.fixture
def manifest(project: Path) -> Path:
    path = project / "data/crops/manifest.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"crops": []}))
    return path


@pytest.fixture
def ids(store: Store, manifest: Path) -> dict[str, str]:
    """A small pipeline."""
    data_hash = sha256_of_json({"data/crops": content_hash(manifest)})
    made = {"crop": run(store, "crop", manifest)}
    made["first"] = run(store, "first", data_hash=data_hash, **{"upstream.crop": made["crop"], HASH_TAG: "f"})
    tags = {"upstream.crop": made["crop"], "upstream.first": made["first"], HASH_TAG: "s"}
    made["second"] = run(store, "second", data_hash=data_hash, **tags)
    made["evaluate"] = run(store, "evaluate", **{f"upstream.{stage}": made[stage] for stage in made})
    tags = {
        "upstream.evaluate": made["evaluate"],
        "upstream.second": made["second"],
        "upstream.gone": "0" * 32,
    }
    made["register"] = run(store, "register", **tags)
    return made


def test_a_chain_ends_at_the_data(store: Store, ids: dict[str, str]) -> None:
    runs = chain(store, ids["register"])
    assert [(each.stage, each.depth) for each in runs] == [
        *(("register", 0), ("gone", 1), ("second", 1), ("first", 2), ("crop", 3), ("evaluate", 1))
    ]
    assert [each.status for each in runs].count("not in this store") == 1
    assert runs[2].parameters == {"seed": "0"}


def test_data_are_compared_with_what_was_learned_from(
    store: Store, ids: dict[str, str], manifest: Path
) -> None:
    runs = chain(store, ids["register"])
    data = data_of(store, runs)
    assert data is not None
    assert (data.recorded, data.here, json.loads(data.manifest)) == (True, True, {"crops": []})
    manifest.write_text("{}")
    assert data_of(store, runs).here is False
    manifest.unlink()
    assert data_of(store, runs).here is None
    assert data_of(store, chain(store, ids["crop"])) is None


def test_a_manifest_that_is_gone(store: Store, ids: dict[str, str], project: Path) -> None:
    for file in (project / "mlartifacts").rglob("manifest.json"):
        file.unlink()
    data = data_of(store, chain(store, ids["second"]))
    assert (data.manifest, data.recorded) == ("", False)


def test_versions_and_runs_are_found_by_hash(store: Store, ids: dict[str, str]) -> None:
    model_id = store.client.create_logged_model(store.experiment_id, name="m").model_id
    for _ in range(2):
        create_version(store, "m", model_id, {HASH_TAG: "s"}, ids["register"])
    store.client.set_registered_model_alias("m", "best", "2")
    assert version_of_hash(store, "s", "m/2").number == 2
    assert version_of_hash(store, "s", "other/2").number == 1
    assert [each.aliases for each in versions_of(store, "m")] == [(), ("best",)]
    assert versions_of(store, "other") == []
    assert version_of_hash(store, "t", "m/2") is None
    assert run_of_hash(store, "f") == ids["first"]
    assert run_of_hash(store, "t") is None
    for what in ("models:/m@best", "m/2", "2", "best"):
        assert named_version(store, what, "m").number == 2
    for what in ("m/3", "3", "worst", "m@worst", ids["crop"]):
        assert named_version(store, what, "m") is None


def test_what_moves_leave_on_a_run_is_no_parameter_of_it(store: Store, ids: dict[str, str]) -> None:
    logged = store.client.create_logged_model(store.experiment_id, name="m")
    create_version(store, "m", logged.model_id, {}, ids["register"])
    (version,) = versions_of(store, "m")
    move(store, "promote", version, None, "better", {})
    assert store.client.get_run(ids["register"]).data.params.keys() > {"seed"}
    assert chain(store, ids["register"])[0].parameters == {"seed": "0"}
