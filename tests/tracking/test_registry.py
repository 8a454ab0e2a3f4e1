import json
from pathlib import Path

import pytest

from arbiscale.config.section import read_yaml
from arbiscale.errors import UserError
from arbiscale.files import content_hash
from arbiscale.inference import serving
from arbiscale.tracking import registry
from arbiscale.tracking.registry import (
    CODE_TAG,
    HASH_TAG,
    challenge,
    check_registered,
    register,
    resolve,
    served_code,
)
from arbiscale.tracking.store import Store, open_store


@pytest.fixture
def store(project: Path) -> Store:
    return open_store()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Stands in for a model folder: the registry does not look inside."""
    made = tmp_path / "models/packed"
    made.mkdir(parents=True)
    (made / "config.json").write_text("{}")
    (made / "autoencoder.safetensors").write_bytes(b"weights")
    return made


def alias(store: Store, name: str) -> int:
    return int(store.client.get_model_version_by_alias("m", name).version)


def run_register(store: Store, folder: Path, resume_id: str | None = None) -> tuple[int, str]:
    with store.run("register", tags={}, params={}, resume_id=resume_id) as run:
        return register(store, folder, "m", serving, tags={"fingerprint": "f"}, run_id=run.id), run.id


def test_every_executed_register_makes_the_challenger(store: Store, folder: Path) -> None:
    first, run_id = run_register(store, folder)
    assert (first, alias(store, "challenger")) == (1, 1)
    second, _ = run_register(store, folder)
    assert (second, alias(store, "challenger")) == (2, 2)
    version = store.client.get_model_version("m", "1")
    assert version.run_id == run_id
    assert version.tags == {"fingerprint": "f", HASH_TAG: content_hash(folder), CODE_TAG: served_code()}
    (output,) = store.client.get_run(run_id).outputs.model_outputs
    assert version.source == f"models:/{output.model_id}"


def test_a_logged_model_says_which_version_it_is_and_who_made_it(store: Store, folder: Path) -> None:
    """As MLflow's page of models looks it up."""
    assert challenge(store, folder, "m", serving) == (1, True)
    (logged,) = store.client.search_logged_models([store.experiment_id])
    assert json.loads(logged.tags["mlflow.modelVersions"]) == [{"name": "m", "version": "1"}]
    made_by = store.client.get_run(logged.source_run_id).data.tags
    for name in ("mlflow.user", "mlflow.source.name"):
        assert logged.tags[name] == made_by[name]
    assert made_by["mlflow.source.name"] == "arbiscale register"


def test_a_resumed_register_makes_no_second_version(store: Store, folder: Path) -> None:
    first, run_id = run_register(store, folder)
    assert run_register(store, folder, resume_id=run_id) == (first, run_id)


def test_a_resolved_model_is_the_folder(store: Store, folder: Path) -> None:
    run_register(store, folder)
    for uri in ("models:/m@challenger", "models:/m/1"):
        assert content_hash(resolve(uri)[0]) == content_hash(folder)


def test_temporary_workspaces_register_in_the_repository(
    store: Store, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.chdir(elsewhere)
    assert run_register(open_store(), folder)[0] == 1
    (folder / "config.json").write_text('{"other": 1}')
    assert challenge(open_store(), folder, "m", serving) == (2, True)
    assert content_hash(resolve("models:/m@challenger")[0]) == content_hash(folder)
    assert alias(store, "challenger") == 2
    assert not [*elsewhere.iterdir()]


def test_what_is_registered_can_be_deployed(store: Store, folder: Path) -> None:
    run_register(store, folder)
    pyfunc = resolve("models:/m/1")[0].parents[1]
    model = read_yaml(pyfunc / "MLmodel")
    assert model["flavors"]["python_function"]["loader_module"] == "arbiscale.inference.serving"
    assert (pyfunc / "code/arbiscale/inference/serving.py").is_file()
    assert list(pyfunc.rglob("*.pkl")) == []
    parameters = json.loads(model["signature"]["params"])
    names = [entry["name"] for entry in parameters]
    assert names == ["scale", "height", "width", "steps", "sampler", "seed", "temperature", "fidelity"]


@pytest.mark.parametrize("uri", ["models:/m@nobody", "models:/m/7", "models:/other/1", "models:/"])
def test_a_missing_model_is_named(store: Store, folder: Path, uri: str) -> None:
    with pytest.raises(UserError, match=f"{uri}: no such model"):
        resolve(uri)


def test_the_challenger_returns_to_the_workspaces_model(store: Store, folder: Path) -> None:
    run_register(store, folder)
    weights = folder / "autoencoder.safetensors"
    weights.write_bytes(b"other")
    run_register(store, folder)
    weights.write_bytes(b"weights")
    assert challenge(store, folder, "m", serving) == (1, False)
    assert alias(store, "challenger") == 1


def test_an_empty_store_gets_the_version_again(store: Store, folder: Path) -> None:
    assert challenge(store, folder, "m", serving) == (1, True)
    assert store.client.get_model_version("m", "1").tags["restored"] == "true"
    assert challenge(store, folder, "m", serving) == (1, False)
    assert content_hash(resolve("models:/m@challenger")[0]) == content_hash(folder)


def test_other_code_is_another_version(
    store: Store, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version ships its code: weights alone do not tell what it draws."""
    package = tmp_path / "package"
    for room in (*registry.SERVED_ROOMS, "cli"):
        (package / room).mkdir(parents=True)
        (package / room / "module.py").write_text("")
    before = served_code(package)
    (package / "cli/module.py").write_text("# which draws nothing")
    assert served_code(package) == before
    monkeypatch.setattr(registry, "served_code", lambda: served_code(package))
    assert challenge(store, folder, "m", serving) == (1, True)
    (package / "inference/module.py").write_text("# a fix")
    assert challenge(store, folder, "m", serving) == (2, True)
    assert challenge(store, folder, "m", serving) == (2, False)


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory is in no project."""
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("outside")
@pytest.mark.parametrize("name", ["models:/", "models:/a@b@c", "models:/a/", "models:/a/1/2"])
def test_names_of_no_model(name: str) -> None:
    with pytest.raises(UserError, match="names no model; give models:/NAME@ALIAS"):
        check_registered(name)


@pytest.mark.usefixtures("outside")
def test_a_registry_is_not_made_by_asking_for_a_model(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no registry here"):
        check_registered("models:/arbiscale@champion")
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("outside")
@pytest.mark.parametrize("name", ["models:/arbiscale@champion", "models:/arbiscale/3"])
def test_a_registry_on_a_server_is_left_to_answer(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    check_registered(name)
