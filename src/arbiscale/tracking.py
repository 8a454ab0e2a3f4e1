"""MLflow: the runs of stages and the versions of models. The only module that imports it."""

from __future__ import annotations

import logging
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from filelock import FileLock, Timeout

from arbiscale import store_address
from arbiscale.environment import accelerator, installed_packages
from arbiscale.errors import UserError
from arbiscale.files import atomic_file
from arbiscale.workspace import repository_root

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

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
    if file:
        _create_database(file, artifacts)
    try:
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        served = uri.startswith(("http://", "https://"))  # a server places artifacts itself
        experiment_id = _experiment(client, None if served else artifacts.as_uri())
    except MlflowException as error:
        raise UserError(f"{store_address.shown(uri)}: {_first_line(error)}") from None
    return Store(uri, client, experiment_id)


def _create_database(file: Path, artifacts: Path) -> None:
    """Create the database once, whoever comes first: whole, under another name, then put in place."""
    from mlflow.store.db.utils import _get_latest_schema_revision
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{file}.lock", timeout=120):
            if not file.exists():
                with atomic_file(file) as partial:
                    SqlAlchemyStore(f"sqlite:///{partial}", artifacts.as_uri()).engine.dispose()
    except Timeout:
        raise UserError(f"{file}.lock: another process has held it for two minutes; end that one") from None
    except OSError as error:
        raise UserError(f"{file}: cannot be created ({error.strerror})") from None
    store_address.check_database(file, _get_latest_schema_revision())


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


def _batches(entries: list[Entry], size: int) -> Iterator[list[Entry]]:
    return (entries[start : start + size] for start in range(0, len(entries), size))


@dataclass(frozen=True)
class RecordedRun:
    """What a store holds of a run: its tags, and (step, value) of its curves in the order of their steps."""

    tags: dict[str, str]
    curves: dict[str, list[tuple[int, float]]]


def _recorded_at(metric: Metric) -> int:
    return int(metric.timestamp)


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
                self.client.set_terminated(run.id, status)
            except Exception:
                if status == "FINISHED":
                    raise

    def _create(self, stage: str, experiment: str | None) -> StageRun:
        name = f"{stage} {experiment}" if experiment else stage
        info = self.client.create_run(self.experiment_id, run_name=name).info
        return StageRun(info.run_id, info.experiment_id, info.start_time / 1000, False, self.client)

    def _resume(self, run_id: str) -> StageRun | None:
        """Set a run going again; None if this store has none of that id."""
        from mlflow.exceptions import MlflowException

        try:
            found = self.client.get_run(run_id)
        except MlflowException:
            return None
        if (info := found.info).lifecycle_stage != "active":
            return None
        self.client.update_run(run_id, status="RUNNING")
        if "error" in found.data.tags:
            self.client.delete_tag(run_id, "error")
        return StageRun(run_id, info.experiment_id, info.start_time / 1000, True, self.client)

    def run_status(self, run_id: str) -> str | None:
        """RUNNING, FINISHED, FAILED or KILLED; None if this store has no run of that id."""
        from mlflow.exceptions import MlflowException

        with suppress(MlflowException):
            return str(self.client.get_run(run_id).info.status)
        return None

    def recorded(self, run_id: str, curves: Sequence[str] = ()) -> RecordedRun | None:
        """A run of whatever state; None if this store has none of that id, or it was deleted.

        Args:
            run_id: as in runs/STAGE.json.
            curves: what the names of the metrics begin with whose values are read at every step.
        """
        from mlflow.exceptions import MlflowException

        try:
            run = self.client.get_run(run_id)
            if run.info.lifecycle_stage != "active":
                return None
            names = sorted(name for name in run.data.metrics if name.startswith(tuple(curves)))
            found = {name: self.client.get_metric_history(run_id, name) for name in names}
        except MlflowException:
            return None
        # A resumed run repeats steps; what was recorded last counts.
        points = {
            name: sorted({each.step: each.value for each in sorted(history, key=_recorded_at)}.items())
            for name, history in found.items()
        }
        return RecordedRun(dict(run.data.tags), points)

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
                code_paths=[str(Path(str(loader.__file__)).parent)],
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


def resolve(uri: str, configured: str | None = None) -> Path:
    """The model folder of a registered model, downloaded where the store is not on this machine.

    Args:
        uri: `models:/NAME@ALIAS` or `models:/NAME/VERSION`.
        configured: tracking URI as for `open_store`; None reads params.yaml.

    Raises:
        UserError: the store cannot be reached or has no such model.
    """
    store = open_store(store_address.configured_uri() if configured is None else configured)
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException
    from mlflow.models import Model

    try:
        with store_address.as_default(store.uri):
            local = download_artifacts(uri, tracking_uri=store.uri, registry_uri=store.uri)
        data = Model.load(local).flavors["python_function"]["data"]
    except (MlflowException, KeyError) as error:
        raise UserError(
            f"{uri}: no such model in {store_address.shown(store.uri)} ({_first_line(error)})"
        ) from None
    return Path(local) / str(data)
