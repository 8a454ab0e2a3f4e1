"""MLflow: the runs of stages and the versions of models. The only module that imports it."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from arbiscale.errors import UserError
from arbiscale.tracking import address as store_address
from arbiscale.tracking.environment import accelerator, installed_packages
from arbiscale.workspace import repository_root

if TYPE_CHECKING:
    import numpy as np
    from mlflow import MlflowClient
    from mlflow.entities import Run

Entry = TypeVar("Entry")
EXPERIMENT = "arbiscale"
METRICS_PER_BATCH, ENTRIES_PER_BATCH, PARAMETER_CHARACTERS, TAG_CHARACTERS = 1000, 100, 6000, 8000

# Quiet and offline; MLflow reads these when it is imported.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_DISABLE_AGENT_HINT", "1")


def open_store(configured: str = "") -> Store:
    """Connect to MLFLOW_TRACKING_URI, else to the configured URI, else to SQLite in the repository.

    Raises:
        UserError: an unreachable server, a database of another version, a store MLflow refuses.
    """
    uri = store_address.store_uri(configured)
    store_address.probe(uri)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    file = store_address.database_file(uri)
    artifacts = file.with_name("mlartifacts") if file else repository_root() / "mlartifacts"
    served = uri.startswith(("http://", "https://"))  # a server places artifacts itself
    try:
        with store_address.opening(file) if file else nullcontext():
            client = MlflowClient(tracking_uri=uri, registry_uri=uri)
            experiment_id = _experiment(client, None if served else artifacts.as_uri())
    except MlflowException as error:
        raise UserError(f"{store_address.shown(uri)}: {_first_line(error)}") from None
    return Store(uri, client, experiment_id)


def _experiment(client: MlflowClient, artifacts: str | None) -> str:
    """The id of the one experiment, created where it is missing."""
    from mlflow.exceptions import MlflowException

    if client.get_experiment_by_name(EXPERIMENT) is None:
        _create_once(client.create_experiment, EXPERIMENT, artifact_location=artifacts)
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is None or found.lifecycle_stage != "active":
        raise MlflowException(
            f"experiment {EXPERIMENT} was deleted; restore it (`mlflow experiments --help`)"
        )
    return str(found.experiment_id)


def _create_once(create: Callable[..., object], name: str, **arguments: object) -> None:
    """Create something named, unless it exists: another process may be first."""
    from mlflow.exceptions import MlflowException

    try:
        create(name, **arguments)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


@dataclass(frozen=True)
class StageRun:
    """One run, of one executed stage."""

    id: str
    experiment_id: str
    started: float  # seconds since the epoch; of the first attempt where the run was resumed
    resumed: bool
    client: MlflowClient

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Record values (at an optimizer step); names may group by slashes but hold no '@'."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        entries = [Metric(name, float(value), now, step or 0) for name, value in metrics.items()]
        for batch in _batches(entries, METRICS_PER_BATCH):
            self.client.log_batch(self.id, metrics=batch)

    def log_params(self, parameters: Mapping[str, Any]) -> None:
        """Record parameters, long values cut to MLflow's limit; what a resumed run holds stays as it is."""
        from mlflow.entities import Param

        present = self.client.get_run(self.id).data.params if self.resumed else {}
        new = {name: str(value) for name, value in parameters.items() if name not in present}
        entries = [Param(name, value[:PARAMETER_CHARACTERS]) for name, value in new.items()]
        for batch in _batches(entries, ENTRIES_PER_BATCH):
            self.client.log_batch(self.id, params=batch)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Record tags, long values cut to MLflow's limit."""
        from mlflow.entities import RunTag

        entries = [RunTag(name, value[:TAG_CHARACTERS]) for name, value in tags.items()]
        for batch in _batches(entries, ENTRIES_PER_BATCH):
            self.client.log_batch(self.id, tags=batch)

    def log_image(self, name: str, image: np.ndarray, step: int | None = None) -> None:
        """Record a picture, uint8 (height, width, 3); those of one name share a slider over steps."""
        self.client.log_image(self.id, image, key=name, step=step or 0)

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Copy a file or a folder to the run, into `folder` of it."""
        if path.is_dir():
            self.client.log_artifacts(self.id, str(path), folder or path.name)
        else:
            self.client.log_artifact(self.id, str(path), folder)


def _package_of(module: ModuleType) -> Path:
    """The folder of the package that a module belongs to."""
    (folder,) = sys.modules[module.__name__.partition(".")[0]].__path__
    return Path(folder)


def _batches(entries: list[Entry], size: int) -> Iterator[list[Entry]]:
    return (entries[start : start + size] for start in range(0, len(entries), size))


@dataclass(frozen=True)
class Store:
    """An MLflow store: runs of the one experiment, and the registry of models."""

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
    ) -> Iterator[StageRun]:
        """A run that ends FINISHED, KILLED on KeyboardInterrupt, or FAILED with the error as a tag.

        Its name is the stage's and the tag `dvc_experiment`. `resume_id`, of an interrupted process, is
        continued where this store has it.
        """
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        run = (resume_id and self._resume(resume_id)) or self._create(stage, tags.get("dvc_experiment"))
        status = "FAILED"
        monitor = SystemMetricsMonitor(run.id, resume_logging=True, tracking_uri=self.uri)
        try:
            monitor.start()  # a thread that samples every ten seconds
            run.set_tags({"stage": stage, **tags})
            run.log_params(params)
            yield run
            status = "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        except BaseException as error:
            with suppress(Exception):  # the first error is the one to show
                run.set_tags({"error": f"{type(error).__name__}: {_first_line(error)}"})
            raise
        finally:
            try:
                monitor.finish()
                if device := accelerator():
                    run.set_tags({"accelerator": device})
                self.client.log_text(run.id, installed_packages(), "environment/packages.txt")
            except Exception:
                if status == "FINISHED":
                    status = "FAILED"
                    raise
            finally:  # also where the artifacts cannot be written
                with suppress(Exception) if status != "FINISHED" else nullcontext():
                    self.client.set_terminated(run.id, status)

    def _create(self, stage: str, experiment: str | None) -> StageRun:
        name = f"{stage} {experiment}" if experiment else stage
        info = self.client.create_run(self.experiment_id, run_name=name).info
        return StageRun(info.run_id, info.experiment_id, info.start_time / 1000, False, self.client)

    def _resume(self, run_id: str) -> StageRun | None:
        """Set a run going again; None if this store has none of that id."""
        found = self.find(run_id)
        if found is None:
            return None
        self.client.update_run(run_id, status="RUNNING")
        if "error" in found.data.tags:
            self.client.delete_tag(run_id, "error")
        info = found.info
        return StageRun(run_id, info.experiment_id, info.start_time / 1000, True, self.client)

    def find(self, run_id: str) -> Run | None:
        """A run of whatever state; None if this store has none of that id, or it was deleted."""
        from mlflow.exceptions import MlflowException

        with suppress(MlflowException):
            found = self.client.get_run(run_id)
            return found if found.info.lifecycle_stage == "active" else None
        return None

    def upload_model(self, folder: Path, name: str, loader: ModuleType, run_id: str | None) -> str:
        """Upload a model folder as a pyfunc with its code; returns the id of MLflow's logged model.

        The loader is a module with `_load_pyfunc(folder)`, predict's `PARAMETERS` and `requirements()`.
        """
        from mlflow.entities import LoggedModelOutput
        from mlflow.models import Model, ModelSignature
        from mlflow.pyfunc import save_model
        from mlflow.types import ParamSchema, ParamSpec

        parameters = ParamSchema([ParamSpec(*entry) for entry in loader.PARAMETERS])
        logged = self.client.create_logged_model(self.experiment_id, name=name, source_run_id=run_id)
        with tempfile.TemporaryDirectory() as temporary, warnings.catch_warnings(action="ignore"):
            pyfunc = Path(temporary) / "model"
            save_model(
                pyfunc,
                loader_module=loader.__name__,
                data_path=str(folder),
                code_paths=[str(_package_of(loader))],
                mlflow_model=Model(model_id=logged.model_id, run_id=run_id),
                signature=ModelSignature(params=parameters),
                pip_requirements=loader.requirements(),
            )
            self.client.log_model_artifacts(logged.model_id, str(pyfunc))
        self.client.finalize_logged_model(logged.model_id, "READY")
        if run_id:
            self.client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
        return str(logged.model_id)

    def create_version(self, name: str, model_id: str, tags: Mapping[str, str], run_id: str | None) -> int:
        """Make an uploaded model the next version of a registered one; no bytes are copied."""
        _create_once(self.client.create_registered_model, name)
        with store_address.as_default(self.uri):
            version = self.client.create_model_version(
                name, f"models:/{model_id}", run_id, tags=dict(tags), model_id=model_id
            )
        return int(version.version)

    def download_model(self, uri: str) -> Path:
        """The model folder of a registered model, on this machine.

        Args:
            uri: `models:/NAME@ALIAS` or `models:/NAME/VERSION`.

        Raises:
            UserError: the store has no such model.
        """
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException
        from mlflow.models import Model

        try:
            with store_address.as_default(self.uri):
                local = download_artifacts(uri, tracking_uri=self.uri, registry_uri=self.uri)
            data = Model.load(local).flavors["python_function"]["data"]
        except (MlflowException, KeyError) as error:
            shown = store_address.shown(self.uri)
            raise UserError(f"{uri}: no such model in {shown} ({_first_line(error)})") from None
        return Path(local) / str(data)
