"""From a journal to MLflow, in the background: a store that does not answer holds nothing up."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from arbiscale.tracking.address import first_line
from arbiscale.tracking.journal import Journal

if TYPE_CHECKING:
    from mlflow import MlflowClient

Value = TypeVar("Value")
METRICS_PER_BATCH, ENTRIES_PER_BATCH, PARAMETER_CHARACTERS, TAG_CHARACTERS = 1000, 100, 6000, 8000
DIGEST_CHARACTERS = 36  # of MLflow's column
GATHER_SECONDS, RETRY_SECONDS, PATIENCE_SECONDS = 1.0, 15.0, 60.0
REFUSALS = {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_DOES_NOT_EXIST"}


class Delivery(threading.Thread):
    """Sends what a run records while it runs, and again and again what the store did not take.

    Args:
        client: of the store.
        journal: of the run.
        store: the store's address, for messages.
    """

    def __init__(self, client: MlflowClient, journal: Journal, store: str) -> None:
        super().__init__(name="delivery", daemon=True)
        self._client = client
        self._journal = journal
        self._store = store
        self._failing = False
        self._ending = threading.Event()

    def run(self) -> None:
        """Send until `close`."""
        while not self._ending.wait(RETRY_SECONDS if self._failing else GATHER_SECONDS):
            self.attempt()
        self.attempt()

    def attempt(self) -> bool:
        """Send what is unsent; whether all of it arrived. The first failure in a row is a warning."""
        try:
            send(self._client, self._journal)
        except Exception as error:  # MLflow, its HTTP client and its databases each have their own
            if not self._failing:
                _say(f"WARNING: {self._store}: takes no records now ({first_line(error)}); they are kept")
            self._failing = True
            return False
        if self._failing:
            _say(f"{self._store}: takes records again; what was kept is sent")
        self._failing = False
        return True

    def close(self) -> bool:
        """Make a last attempt; whether everything has arrived."""
        self._ending.set()
        self.join(PATIENCE_SECONDS)
        arrived = not self.is_alive() and not self._failing
        if not arrived:
            _say(
                f"WARNING: {self._store}: lacks records of run {self._journal.run_id}; "
                "the next stage sends them, or `arbiscale runs sync`"
            )
        return arrived


def send(client: MlflowClient, journal: Journal) -> None:
    """Send what a journal holds and the store lacks, in the order of recording, nothing twice.

    Files go last: their place may be another than that of the records, and fail alone. What the store
    refuses for good, or whose run it does not have any more, is left out with a warning.
    """
    for files in (False, True):
        _send(client, journal, journal.unsent(files=files))


def _send(client: MlflowClient, journal: Journal, entries: Iterator[dict[str, Any]]) -> None:
    from mlflow.exceptions import MlflowException

    for group in _groups(entries):
        kind = group[0]["kind"]
        try:
            _SENDERS[kind](client, journal, group)
        except MlflowException as error:
            if error.error_code not in REFUSALS:
                raise
            _say(f"WARNING: {kind} not recorded: the store refuses it ({first_line(error)})")
        journal.mark_sent(group[-1])


def _groups(entries: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Entries one by one, but metrics as many as one request takes."""
    metrics: list[dict[str, Any]] = []
    count = 0
    for entry in entries:
        if entry["kind"] == "metrics":
            if metrics and count + len(entry["values"]) > METRICS_PER_BATCH:
                yield metrics
                metrics, count = [], 0
            metrics.append(entry)
            count += len(entry["values"])
            continue
        if metrics:
            yield metrics
            metrics, count = [], 0
        yield [entry]
    if metrics:
        yield metrics


def _send_metrics(client: MlflowClient, journal: Journal, entries: list[dict[str, Any]]) -> None:
    """With the time of recording: MLflow drops what it has been sent before."""
    from mlflow.entities import Metric

    metrics = [
        Metric(name, value, entry["time"], entry["step"] or 0)
        for entry in entries
        for name, value in entry["values"].items()
    ]
    for batch in _batches(metrics, METRICS_PER_BATCH):
        client.log_batch(journal.run_id, metrics=batch)


def _send_params(client: MlflowClient, journal: Journal, entries: list[dict[str, Any]]) -> None:
    """Long values are cut to MLflow's limit; what a resumed run holds stays as it is."""
    from mlflow.entities import Param

    present = client.get_run(journal.run_id).data.params
    new = {name: value for name, value in entries[0]["values"].items() if name not in present}
    for batch in _batches([*new.items()], ENTRIES_PER_BATCH):
        client.log_batch(
            journal.run_id, params=[Param(name, value[:PARAMETER_CHARACTERS]) for name, value in batch]
        )


def _send_tags(client: MlflowClient, journal: Journal, entries: list[dict[str, Any]]) -> None:
    from mlflow.entities import RunTag

    for batch in _batches([*entries[0]["values"].items()], ENTRIES_PER_BATCH):
        client.log_batch(journal.run_id, tags=[RunTag(name, value[:TAG_CHARACTERS]) for name, value in batch])


def _send_image(client: MlflowClient, journal: Journal, entries: list[dict[str, Any]]) -> None:
    """Those of one name share a slider over steps."""
    import numpy as np
    from PIL import Image

    (entry,) = entries
    name, step, file = entry["name"], entry["step"] or 0, journal.file(entry)
    mark = f"{name.replace('/', '~')}+step+{step}+timestamp+{entry['time']}+"
    there = any(mark in found.path for found in client.list_artifacts(journal.run_id, "images"))
    if file.exists() and not there:
        with Image.open(file) as image:
            pixels = np.asarray(image)
        client.log_image(journal.run_id, pixels, key=name, step=step, timestamp=entry["time"])


def _send_artifact(client: MlflowClient, journal: Journal, entries: list[dict[str, Any]]) -> None:
    (entry,) = entries
    file = journal.file(entry)
    if file.is_dir():
        client.log_artifacts(journal.run_id, str(file), entry["folder"] or file.name)
    elif file.exists():
        client.log_artifact(journal.run_id, str(file), entry["folder"])


def _send_dataset(client: MlflowClient, journal: Journal, entries: list[dict[str, Any]]) -> None:
    """Shown as the run's input; MLflow keeps 36 characters of a digest."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    (entry,) = entries
    source = json.dumps({"uri": entry["source"]})
    data = Dataset(entry["name"], entry["digest"][:DIGEST_CHARACTERS], "local", source)
    client.log_inputs(
        journal.run_id, [DatasetInput(data, [InputTag("mlflow.data.context", entry["context"])])]
    )


def _send_figures(client: MlflowClient, journal: Journal, entries: list[dict[str, Any]]) -> None:
    """What a run measured of a row, at the logged model too; with its time, so that the run has it once."""
    from mlflow.entities import Metric

    (entry,) = entries
    measured = client.get_run(entry["run"])
    inputs = measured.inputs.dataset_inputs if measured.inputs else []
    data = next((each.dataset for each in inputs), None)
    of_data = {"dataset_name": data.name, "dataset_digest": data.digest} if data else {}
    metrics = [
        Metric(each.key, each.value, each.timestamp, each.step, model_id=entry["model"], **of_data)
        for each in measured.data.to_proto().metrics
        if each.key.split("/")[-2:-1] == [entry["row"]]
    ]
    for batch in _batches(metrics, METRICS_PER_BATCH):
        client.log_batch(entry["run"], metrics=batch)


def _send_resume(client: MlflowClient, journal: Journal, entries: list[dict[str, Any]]) -> None:
    client.update_run(journal.run_id, status="RUNNING")
    if "error" in client.get_run(journal.run_id).data.tags:
        client.delete_tag(journal.run_id, "error")


def _send_end(client: MlflowClient, journal: Journal, entries: list[dict[str, Any]]) -> None:
    client.set_terminated(journal.run_id, entries[0]["status"], entries[0]["time"])


def _send_nothing(client: MlflowClient, journal: Journal, entries: list[dict[str, Any]]) -> None:
    """Of the entry that says which store the run is in."""


_SENDERS = {
    "store": _send_nothing,
    "metrics": _send_metrics,
    "params": _send_params,
    "tags": _send_tags,
    "image": _send_image,
    "artifact": _send_artifact,
    "dataset": _send_dataset,
    "figures": _send_figures,
    "resume": _send_resume,
    "end": _send_end,
}


def _batches(entries: list[Value], size: int) -> Iterator[list[Value]]:
    return (entries[start : start + size] for start in range(0, len(entries), size))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
