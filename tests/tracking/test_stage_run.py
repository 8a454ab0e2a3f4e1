from pathlib import Path

import numpy as np
import pytest

from arbiscale.tracking.stage_run import StageRun
from arbiscale.tracking.store import Store, open_store


@pytest.fixture
def store(project: Path) -> Store:
    return open_store()


def test_a_run_records_what_it_is_told(store: Store) -> None:
    parameters = {f"p.{index}": index for index in range(150)} | {"long": "x" * 7000}
    tags = {"dvc_experiment": "brave-newt", "long": "y" * 9000}
    with store.run("diffusion", tags=tags, params=parameters, name="diffusion · a=1") as run:
        run.log_dataset("crops", "0123456789" * 6, "data/crops", "training")
        run.log_metrics({f"x4/{index}": index / 2 for index in range(1200)}, step=3)
        run.log_metrics({"loss": 1.0}, step=1)
        run.log_metrics({"loss": 0.5}, step=2)
    found = store.client.get_run(run.id)
    assert found.info.status == "FINISHED"
    assert found.info.run_name == "diffusion · a=1"
    (data,) = found.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest) == ("crops", ("0123456789" * 6)[:36])
    assert [(tag.key, tag.value) for tag in data.tags] == [("mlflow.data.context", "training")]
    assert len(found.data.params) == 151
    assert found.data.params["p.149"] == "149"
    assert found.data.params["long"] == "x" * 6000
    assert found.data.tags["stage"] == "diffusion"
    assert found.data.tags["long"] == "y" * 8000
    assert found.data.metrics["x4/1199"] == 599.5
    history = store.client.get_metric_history(run.id, "loss")
    assert [(point.step, point.value) for point in history] == [(1, 1.0), (2, 0.5)]


def test_signed_addresses_are_recorded_without_what_signs_them(store: Store) -> None:
    addresses = ["http://host/a.zip?signature=secret"]
    name, note = f"crop · data.urls.addresses={addresses}", f"| data.urls.addresses | [] | {addresses} |"
    with store.run("crop", tags={"note": note}, params={"data.urls.addresses": addresses}, name=name) as run:
        pass
    found = store.client.get_run(run.id)
    assert found.data.params["data.urls.addresses"] == "['http://host/a.zip?***']"
    assert "secret" not in str(found.to_dictionary())


def artifacts(store: Store, run: StageRun, folder: str) -> list[str]:
    return [found.path for found in store.client.list_artifacts(run.id, folder)]


def test_images_of_one_name_form_a_series(store: Store) -> None:
    with store.run("diffusion", tags={}, params={}) as run:
        for step in (0, 10):
            run.log_image("validation/samples", np.full((4, 6, 3), step, np.uint8), step)
    names = [name for name in artifacts(store, run, "images") if name.endswith(".png")]
    assert sorted(name.split("+")[:3] for name in names) == [
        ["images/validation~samples", "step", "0"],
        ["images/validation~samples", "step", "10"],
    ]


def test_artifacts_are_files_or_folders(store: Store, tmp_path: Path) -> None:
    (tmp_path / "sheets").mkdir()
    (tmp_path / "sheets/a.png").write_bytes(b"1")
    with store.run("evaluate", tags={}, params={}) as run:
        run.log_artifact(tmp_path / "sheets/a.png", "single")
        run.log_artifact(tmp_path / "sheets")
    assert artifacts(store, run, "single") == ["single/a.png"]
    assert artifacts(store, run, "sheets") == ["sheets/a.png"]
    assert artifacts(store, run, "environment") == ["environment/packages.txt"]
