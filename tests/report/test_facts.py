"""Where an evaluation came from: records and runs, some of them gone."""

from __future__ import annotations

import json
from pathlib import Path

from arbiscale.report.facts import StageRecord, read_parameters, read_records, read_training
from arbiscale.tracking.store import open_store


def test_records_that_are_missing_or_damaged_say_nothing(tmp_path: Path) -> None:
    whole = {"run_id": "abc", "seconds": 1.5, "git_commit": "f" * 40, "git_dirty": True, "other": 1}
    (tmp_path / "crop.json").write_text(json.dumps(whole))
    (tmp_path / "diffusion.json").write_text("{")
    (tmp_path / "autoencoder.json").write_text("[]")
    (tmp_path / "align.json").write_text('{"run_id": "abc"}')
    crop, *others = read_records(tmp_path, ["crop", "diffusion", "autoencoder", "align", "gone"])
    assert crop == StageRecord("crop", "abc", 1.5, "f" * 40, True)
    assert crop.commit == "ffffffffff, with uncommitted changes"
    assert [each.stage for each in others] == ["diffusion", "autoencoder", "align", "gone"]
    assert all(each == StageRecord(each.stage) for each in others)
    assert others[0].commit == "unknown"


def test_parameters_are_read_without_secrets(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(
        "runtime:\n  webhook: https://host/secret\n  mlflow_uri: http://me:secret@host\n"
        "data:\n  urls:\n    addresses: ['https://host/a.zip?signature=secret']\n"
    )
    found = read_parameters(tmp_path / "params.yaml")
    assert found == {"runtime.mlflow_uri": "http://host", "data.urls.addresses": ["https://host/a.zip?***"]}


def test_curves_are_those_of_training_and_validation(project: Path) -> None:
    store = open_store()
    with store.run("diffusion", tags={}, params={}) as run:
        run.log_metrics({"train/loss": 2.0, "validation/psnr": 20.0, "lr-AdamW": 0.1}, step=5)
    training = read_training(StageRecord("diffusion", run.id, 1.0), store)
    assert training.curves == {"train/loss": [(5, 2.0)], "validation/psnr": [(5, 20.0)]}
    assert training.missing == ""


def test_a_run_that_is_gone_is_said(project: Path) -> None:
    store = open_store()
    gone = read_training(StageRecord("diffusion", "0" * 32, 1.0), store)
    assert gone.missing == f"The store has no run {'0' * 32} any more."
    assert read_training(StageRecord("diffusion"), store).missing.startswith("runs/diffusion.json")
