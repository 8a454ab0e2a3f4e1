"""A store that goes away and comes back: the loop never notices, and nothing is lost or doubled."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow.exceptions import MlflowException

from arbiscale.errors import UserError
from arbiscale.tracking import delivery
from arbiscale.tracking.journal import open_journal, run_ids
from arbiscale.tracking.store import Store, open_store


@pytest.fixture
def store(project: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(delivery, "GATHER_SECONDS", 0.02)
    monkeypatch.setattr(delivery, "RETRY_SECONDS", 0.05)
    return open_store()


class Outage:
    """Makes the methods of a client fail while it is on; counts attempts."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self.on = False
        self.attempts = 0
        for name in ("log_batch", "log_image", "log_artifact", "set_terminated", "update_run", "get_run"):
            monkeypatch.setattr(store.client, name, self._wrap(getattr(store.client, name)))

    def _wrap(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **keywords: Any) -> Any:
            if self.on:
                self.attempts += 1
                raise MlflowException("API request failed\nwith many lines")
            return method(*arguments, **keywords)

        return call

    def wait_for_an_attempt(self) -> None:
        seen, patience = self.attempts, time.monotonic() + 10
        while self.attempts == seen:
            assert time.monotonic() < patience
            time.sleep(0.01)


@pytest.fixture
def outage(store: Store, monkeypatch: pytest.MonkeyPatch) -> Outage:
    return Outage(store, monkeypatch)


def history(store: Store, run_id: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in store.client.get_metric_history(run_id, "loss")]


def pictures(store: Store, run_id: str) -> list[str]:
    found = store.client.list_artifacts(run_id, "images")
    return sorted(each.path.split("+")[2] for each in found if each.path.endswith(".png"))


def test_an_outage_in_mid_run_is_one_warning(
    store: Store, outage: Outage, capsys: pytest.CaptureFixture[str]
) -> None:
    with store.run("diffusion", tags={}, params={}) as run:
        run.log_metrics({"loss": 1.0}, 1)
        outage.on = True
        begun = time.monotonic()
        for step in (2, 3):
            run.log_metrics({"loss": float(step)}, step)
            run.log_image("samples", np.zeros((2, 2, 3), np.uint8), step)
        assert time.monotonic() - begun < 1
        outage.wait_for_an_attempt()
        outage.wait_for_an_attempt()
        outage.on = False
        run.log_metrics({"loss": 4.0}, 4)
    first, second = capsys.readouterr().err.splitlines()
    assert "takes no records now (API request failed); they are kept" in first
    assert second.endswith("takes records again; what was kept is sent")
    assert history(store, run.id) == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0)]
    assert pictures(store, run.id) == ["2", "3"]
    assert store.client.get_run(run.id).info.status == "FINISHED"
    assert run_ids() == []


def test_what_a_store_misses_at_the_end_is_sent_later(
    store: Store, outage: Outage, capsys: pytest.CaptureFixture[str]
) -> None:
    with store.run("diffusion", tags={}, params={}) as run:
        outage.on = True
        run.log_metrics({"loss": 1.0}, 1)
        run.log_image("samples", np.zeros((2, 2, 3), np.uint8), 1)
        run.set_tags({"late": "yes"})
    assert f"lacks records of run {run.id}" in capsys.readouterr().err
    with pytest.raises(UserError, match=f"takes no records of run {run.id}"):
        store.sync()
    outage.on = False
    assert store.client.get_run(run.id).info.status == "RUNNING"
    assert store.sync() == [run.id]
    found = store.client.get_run(run.id)
    assert (found.info.status, found.data.tags["late"]) == ("FINISHED", "yes")
    assert history(store, run.id) == [(1, 1.0)]
    assert pictures(store, run.id) == ["1"]
    assert run_ids() == store.sync() == []


def test_files_that_the_store_does_not_take_hold_up_no_record(
    store: Store, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = project / "mlartifacts"
    with store.run("diffusion", tags={}, params={}) as run:
        place.rename(project / "away")
        place.write_text("not a folder any more")
        run.log_image("samples", np.zeros((2, 2, 3), np.uint8), 1)
        run.log_metrics({"loss": 1.0}, 1)
    assert f"lacks records of run {run.id}" in capsys.readouterr().err
    assert history(store, run.id) == [(1, 1.0)]
    assert store.client.get_run(run.id).info.status == "FINISHED"
    place.unlink()
    (project / "away").rename(place)
    assert store.sync() == [run.id]
    assert pictures(store, run.id) == ["1"]
    assert history(store, run.id) == [(1, 1.0)]
    assert run_ids() == store.sync() == []


def test_a_run_that_ends_on_a_full_disk_has_finished(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    def full(path: Path, mode: str = "r", *arguments: Any, **keywords: Any) -> Any:
        if path.name == "entries.jsonl" and mode == "ab":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return opened(path, mode, *arguments, **keywords)

    with store.run("diffusion", tags={}, params={}) as run:
        run.log_metrics({"loss": 1.0}, 1)
        monkeypatch.setattr(Path, "open", full)
        run.log_metrics({"loss": 2.0}, 2)
    assert store.client.get_run(run.id).info.status == "FINISHED"
    assert history(store, run.id) == [(1, 1.0), (2, 2.0)]


def test_what_was_sent_without_being_noted_is_sent_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a kill between the store's answer and the note of it."""
    with suppress(RuntimeError), store.run("diffusion", tags={}, params={}) as run:
        run.log_metrics({"loss": 1.0}, 1)
        run.log_image("samples", np.zeros((2, 2, 3), np.uint8), 1)
        monkeypatch.setattr(run.journal, "mark_sent", lambda entry: None)
        raise RuntimeError
    with store.run("diffusion", tags={}, params={}, resume_id=run.id) as run:
        run.log_metrics({"loss": 2.0}, 2)
    assert history(store, run.id) == [(1, 1.0), (2, 2.0)]
    assert pictures(store, run.id) == ["1"]
    assert store.client.get_run(run.id).info.status == "FINISHED"


def test_a_store_that_hangs_holds_neither_the_loop_nor_the_end(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(delivery, "PATIENCE_SECONDS", 0.2)
    release = threading.Event()
    with store.run("diffusion", tags={}, params={}) as run:
        monkeypatch.setattr(store.client, "log_batch", lambda *_, **__: release.wait(30))
        begun = time.monotonic()
        run.log_metrics({"loss": 1.0}, 1)
        time.sleep(0.1)
    assert time.monotonic() - begun < 15
    assert f"lacks records of run {run.id}" in capsys.readouterr().err
    release.set()


def test_figures_of_a_run_are_shown_at_a_model(store: Store, outage: Outage) -> None:
    """With their data; the run that measured them keeps each once, however often they are sent."""
    with store.run("evaluate", tags={}, params={}) as measured:
        measured.log_dataset("crops", "d" * 64, "data/crops", "evaluation")
        measured.log_metrics({"x2/ours/psnr": 30.0, "x2/ours/ssim": float("nan"), "x2/bicubic/psnr": 28.0})
        measured.log_metrics({"trade_off/x2/ours/steps4/psnr": 29.0, "peak_memory_mib": 1.0})
    model = store.client.create_logged_model(store.experiment_id, name="m")
    with store.run("register", tags={}, params={}) as run:
        outage.on = True
        run.link_figures(measured.id, "ours", model.model_id)
    assert not store.client.get_logged_model(model.model_id).metrics
    outage.on = False
    assert store.sync() == [run.id]
    with store.run("register", tags={}, params={}) as run:
        run.link_figures(measured.id, "ours", model.model_id)
    metrics = {each.key: each for each in store.client.get_logged_model(model.model_id).metrics}
    assert metrics.keys() == {"x2/ours/psnr", "x2/ours/ssim"}
    psnr = metrics["x2/ours/psnr"]
    assert (psnr.value, psnr.run_id) == (30.0, measured.id)
    assert (psnr.dataset_name, psnr.dataset_digest) == ("crops", "d" * 36)
    assert len(store.client.get_metric_history(measured.id, "x2/ours/psnr")) == 1


def test_what_the_store_refuses_holds_nothing_up(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    with store.run("diffusion", tags={}, params={}) as run:
        run.log_metrics({"a@b": 1.0}, 1)
        run.set_tags({"next": "yes"})
    assert "metrics not recorded: the store refuses it" in capsys.readouterr().err
    assert store.client.get_run(run.id).data.tags["next"] == "yes"


def test_a_killed_run_ends_as_killed_and_stays_resumable(store: Store) -> None:
    """A kill leaves a journal without an end, and no lock."""
    info = store.client.create_run(store.experiment_id).info
    leave_as_killed(store, info.run_id)
    assert store.sync(keep={info.run_id}) == [info.run_id]
    assert store.client.get_run(info.run_id).info.status == "KILLED"
    with store.run("diffusion", tags={}, params={}, resume_id=info.run_id) as run:
        assert store.client.get_run(run.id).info.status == "RUNNING"
        assert store.sync() == []  # a run that goes on is its process's own
    assert store.client.get_run(info.run_id).info.status == "FINISHED"


def test_other_stores_runs_are_left_alone(store: Store) -> None:
    leave_as_killed(store, "ab" * 16, uri="http://elsewhere")
    assert store.sync() == []
    assert run_ids() == ["ab" * 16]


def leave_as_killed(store: Store, run_id: str, uri: str = "") -> None:
    with open_journal(run_id) as journal:
        journal.append("store", uri=uri or store.uri)
