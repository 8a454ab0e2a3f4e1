"""MLflow: the runs of stages."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import Timeout

from arbiscale.errors import UserError
from arbiscale.tracking import address as store_address
from arbiscale.tracking.address import first_line
from arbiscale.tracking.delivery import Delivery, send
from arbiscale.tracking.environment import accelerator, installed_packages
from arbiscale.tracking.journal import Journal, open_journal, remove, run_ids
from arbiscale.tracking.relocation import follow_move
from arbiscale.tracking.stage_run import StageRun
from arbiscale.workspace import repository_root

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

EXPERIMENT = "arbiscale"  # where the environment names none

# Quiet and offline, and no minutes of silence where a server is away; MLflow reads these when it is imported.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_DISABLE_AGENT_HINT", "1")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


def open_store(configured: str = "") -> Store:
    """Connect to MLFLOW_TRACKING_URI, else to the configured URI, else to SQLite in the repository.

    Raises:
        UserError: an unreachable server, a database of another version, a store MLflow refuses.
    """
    uri = store_address.signed_in(store_address.store_uri(configured))
    if store_address.signed_in(os.environ.get("MLFLOW_REGISTRY_URI", uri)) != uri:
        raise UserError(
            f"MLFLOW_REGISTRY_URI: versions are kept where runs are, in {store_address.shown(uri)}; unset it"
        )
    store_address.probe(uri)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("mlflow.system_metrics").setLevel(logging.CRITICAL)  # `Delivery` warns of the store
    file = store_address.database_file(uri)
    artifacts = file.with_name("mlartifacts") if file else repository_root() / "mlartifacts"
    served = uri.startswith(("http://", "https://"))  # a server places artifacts itself
    try:
        with store_address.opening(file) if file else nullcontext():
            if file:
                follow_move(file, artifacts)
            client = MlflowClient(tracking_uri=uri, registry_uri=uri)
            experiment_id = _experiment(client, None if served else artifacts.as_uri())
    except MlflowException as error:
        raise UserError(f"{store_address.shown(uri)}: {first_line(error)}") from None
    return Store(uri, client, experiment_id)


def _experiment(client: MlflowClient, artifacts: str | None) -> str:
    """The id of the experiment: MLFLOW_EXPERIMENT_ID's, else the named one, created where it is missing."""
    from mlflow.exceptions import MlflowException

    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
    if known := os.environ.get("MLFLOW_EXPERIMENT_ID"):
        found: Experiment | None = client.get_experiment(known)
        name = f"of id {known}"
    else:
        if client.get_experiment_by_name(name) is None:
            create_once(client.create_experiment, name, artifact_location=artifacts)
        found = client.get_experiment_by_name(name)
    if found is None or found.lifecycle_stage != "active":
        raise MlflowException(f"experiment {name} was deleted; restore it (`mlflow experiments --help`)")
    return str(found.experiment_id)


def create_once(create: Callable[..., object], name: str, **arguments: object) -> None:
    """Create something named, unless it exists: another process may be first."""
    from mlflow.exceptions import MlflowException

    try:
        create(name, **arguments)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


@dataclass(frozen=True)
class Store:
    """An MLflow store: runs of the one experiment; for the registry see `arbiscale.tracking.versions`."""

    uri: str
    client: MlflowClient
    experiment_id: str

    @contextmanager
    def run(
        self,
        stage: str,
        *,
        tags: Mapping[str, str],
        params: Mapping[str, Any],
        resume_id: str | None = None,
        name: str = "",
        keep_journal: bool = False,
    ) -> Iterator[StageRun]:
        """A run that ends FINISHED, KILLED on KeyboardInterrupt, or FAILED with the error as a tag.

        `resume_id`, of an interrupted process, is continued where this store has it; where it has not, a new
        run gets all that was recorded. Where it is not named, it is called as its stage. With `keep_journal`
        the journal stays for a process that may go on; `remove_delivered` removes it.

        Raises:
            UserError: at the start, as `create_run`. Later the store may come and go.
        """
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        former = self.find(resume_id) if resume_id else None
        info = former.info if former else self.create_run(store_address.shown(name or stage)).info
        lost_id = resume_id if former is None else None
        with open_journal(info.run_id, lost_id) as journal:
            run = StageRun(info.run_id, info.experiment_id, info.start_time / 1000, bool(former), journal)
            delivery = Delivery(self.client, journal, store_address.shown(self.uri))
            journal.append("store", uri=store_address.portable(self.uri))
            if run.resumed:
                journal.append("resume")
            run.set_tags({"stage": stage, **tags})
            run.log_params(params)
            delivery.attempt()
            monitor = SystemMetricsMonitor(run.id, resume_logging=True, tracking_uri=self.uri)
            status = "FAILED"
            try:
                delivery.start()
                monitor.start()  # a thread that samples every ten seconds
                yield run
                status = "FINISHED"
            except KeyboardInterrupt:
                status = "KILLED"
                raise
            except BaseException as error:
                run.set_tags({"error": f"{type(error).__name__}: {first_line(error)}"})
                raise
            finally:
                monitor.finish()
                if device := accelerator(tags.get("device", "cuda")):
                    run.set_tags({"accelerator": device})
                run.log_text(installed_packages(), "packages.txt", "environment")
                journal.append("end", status=status)
                if delivery.close() and status == "FINISHED" and not keep_journal:
                    remove(journal)

    def sync(self, keep: Collection[str] = ()) -> list[str]:
        """Send what earlier processes recorded and this store lacks; those that were killed end as KILLED.

        Args:
            keep: runs that may be resumed, whose journals stay.

        Returns:
            The runs of which something was sent.

        Raises:
            UserError: the store takes no records.
        """
        reached = []
        for run_id in run_ids():
            with suppress(Timeout), open_journal(run_id, timeout=0) as journal:
                stores = [entry["uri"] for entry in journal.entries() if entry["kind"] == "store"]
                if not stores:  # its owner removed it meanwhile
                    remove(journal)
                if [store_address.portable(each) for each in stores[-1:]] != [
                    store_address.portable(self.uri)
                ]:
                    continue
                if journal.status is None:
                    journal.append("end", status="KILLED")
                if any(True for _ in journal.unsent()):
                    self._send(journal)
                    reached.append(run_id)
                if run_id not in keep:
                    remove(journal)
        return reached

    def _send(self, journal: Journal) -> None:
        try:
            send(self.client, journal)
        except Exception as error:  # as in `Delivery.attempt`
            raise UserError(
                f"{store_address.shown(self.uri)}: takes no records of run {journal.run_id} "
                f"({first_line(error)}); `arbiscale runs sync` sends them later"
            ) from None

    def create_run(self, name: str, tags: Mapping[str, str] | None = None) -> Run:
        """A new run, where its files will have a place.

        Raises:
            UserError: the store does not answer, or takes no files.
        """
        from mlflow.exceptions import MlflowException

        try:
            experiment = self.client.get_experiment(self.experiment_id)
            store_address.require_place(experiment.artifact_location)
            return self.client.create_run(self.experiment_id, tags=dict(tags or {}), run_name=name)
        except MlflowException as error:
            raise UserError(f"{store_address.shown(self.uri)}: {first_line(error)}") from None

    def find(self, run_id: str) -> Run | None:
        """A run of whatever state; None if this store has none of that id, or it was deleted.

        Raises:
            UserError: the store does not answer.
        """
        from mlflow.exceptions import MlflowException

        try:
            found = self.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise UserError(f"{store_address.shown(self.uri)}: {first_line(error)}") from None
        return found if found.info.lifecycle_stage == "active" else None

    def search(self, where: str, **options: Any) -> list[Run]:
        """The runs of all experiments that a filter of MLflow's finds."""
        experiments = [each.experiment_id for each in self.client.search_experiments()]
        found: list[Run] = []
        token: str | None = None
        while True:
            page = self.client.search_runs(experiments, where, page_token=token, **options)
            found += page
            token = page.token
            if not token or len(found) >= options.get("max_results", math.inf):
                return found

    def list_artifacts(self, run_id: str, folder: str) -> list[str]:
        """The files in a folder of a run's; none where the store does not have it any more."""
        from mlflow.exceptions import MlflowException

        try:
            return [each.path for each in self.client.list_artifacts(run_id, folder) if not each.is_dir]
        except (MlflowException, OSError):
            return []

    def download_artifact(self, run_id: str, name: str, folder: Path) -> Path | None:
        """A copy of a run's file in a folder; None where the store does not have it any more."""
        from mlflow.exceptions import MlflowException

        try:
            return Path(self.client.download_artifacts(run_id, name, str(folder)))
        except (MlflowException, OSError):
            return None
