"""What is refused of a registered model's name before MLflow is asked."""

from pathlib import Path

import pytest

from arbiscale.errors import UserError
from arbiscale.tracking.registry import check_registered


@pytest.fixture(autouse=True)
def _outside_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", ["models:/", "models:/a@b@c", "models:/a/", "models:/a/1/2"])
def test_names_of_no_model(name: str) -> None:
    with pytest.raises(UserError, match="names no model; give models:/NAME@ALIAS"):
        check_registered(name)


def test_a_registry_is_not_made_by_asking_for_a_model(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no registry here"):
        check_registered("models:/arbiscale@champion")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["models:/arbiscale@champion", "models:/arbiscale/3"])
def test_a_registry_on_a_server_is_left_to_answer(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    check_registered(name)
