"""Versions of registered models: what the registry knows of one, and its files."""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from arbiscale.errors import UserError
from arbiscale.files import atomic_folder
from arbiscale.tracking import address as store_address
from arbiscale.tracking.address import first_line
from arbiscale.tracking.store import Store, create_once

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

SCHEME = "models:/"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "arbiscale" / "models"
_VERSIONS_TAG, _MADE_BY = "mlflow.modelVersions", ("mlflow.user", "mlflow.source.")
_NONE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


@dataclass(frozen=True)
class Version:
    """A version of a registered model.

    Attributes:
        name: of the registered model.
        number: of the version.
        run_id: the run that made it; empty for none.
        model_id: of what MLflow keeps of it.
        tags: all of them.
        aliases: that point at it.
    """

    name: str
    number: int
    run_id: str
    model_id: str
    tags: dict[str, str]
    aliases: tuple[str, ...]

    @property
    def uri(self) -> str:
        """`models:/NAME/NUMBER`."""
        return f"{SCHEME}{self.name}/{self.number}"


def list_versions(store: Store, where: str) -> list[Version]:
    """The versions that a filter of MLflow's finds, the oldest first.

    Args:
        store: of the registry.
        where: such as `name = 'arbiscale'`.

    Raises:
        UserError: the store does not answer.
    """
    from mlflow.exceptions import MlflowException

    try:
        found = [*store.client.search_model_versions(where)]
        names = {each.name for each in found}
        # A search leaves the aliases out.
        aliases = {name: store.client.get_registered_model(name).aliases for name in names}
    except MlflowException as error:
        raise UserError(f"{store_address.shown(store.uri)}: {first_line(error)}") from None
    found.sort(key=lambda each: int(each.creation_timestamp))
    return [
        replace(
            _version(each),
            aliases=tuple(
                alias for alias, number in aliases[each.name].items() if int(number) == int(each.version)
            ),
        )
        for each in found
    ]


def versions_of(store: Store, name: str) -> list[Version]:
    """Every version of a registered model, the oldest first; raises UserError as `list_versions`."""
    return list_versions(store, f"name = '{name}'")


def find_version(store: Store, name: str, version: str) -> Version | None:
    """A version of a registered model, by its number or by `@ALIAS`; None where there is none.

    Raises:
        UserError: the store does not answer.
    """
    from mlflow.exceptions import MlflowException

    try:
        if version.startswith("@"):
            version = store.client.get_model_version_by_alias(name, version[1:]).version
        return _version(store.client.get_model_version(name, version))
    except MlflowException as error:
        if error.error_code in _NONE:
            return None
        raise UserError(f"{store_address.shown(store.uri)}: {first_line(error)}") from None


def find_uri(store: Store, uri: str) -> Version | None:
    """The same of `models:/NAME@ALIAS` or `models:/NAME/VERSION`."""
    name, version = re.split("(?=@)|/", f"{uri.removeprefix(SCHEME)}/", maxsplit=1)
    return find_version(store, name, version.rstrip("/"))


def named_version(store: Store, what: str, default: str) -> Version | None:
    """The version that is meant by `models:/NAME@ALIAS`, `NAME/3`, `3` or an alias; None where there is none.

    Args:
        store: of the registry.
        what: as typed.
        default: the registered model, where only a number or an alias is given.
    """
    if "/" in what or "@" in what:
        return find_uri(store, what)
    return find_version(store, default, what if what.isdecimal() else f"@{what}")


def _version(found: ModelVersion) -> Version:
    return Version(
        found.name,
        int(found.version),
        found.run_id or "",
        found.model_id or str(found.source).removeprefix(SCHEME),
        dict(found.tags),
        tuple(found.aliases),
    )


def create_version(store: Store, name: str, model_id: str, tags: Mapping[str, str], run_id: str) -> int:
    """Make an uploaded model the next version of a registered one; no bytes are copied."""
    create_once(store.client.create_registered_model, name)
    with store_address.as_default(store.uri):
        version = store.client.create_model_version(
            name, f"{SCHEME}{model_id}", run_id, tags=dict(tags), model_id=model_id
        )
    known = [{"name": name, "version": str(version.version)}]  # as MLflow's page of models looks it up
    store.client.set_logged_model_tags(model_id, {_VERSIONS_TAG: json.dumps(known)})
    return int(version.version)


def upload_model(store: Store, folder: Path, name: str, loader: ModuleType, run_id: str) -> str:
    """Upload a model folder as a pyfunc with its code; returns the id of MLflow's logged model.

    The loader is a module like `arbiscale.inference.serving`: `_load_pyfunc(folder)`, `PARAMETERS`, `OUTPUT`,
    `example(folder)` and `requirements()`.

    Raises:
        UserError: a disk or store that does not take it; then nothing is left of it.
    """
    from mlflow.entities import LoggedModelOutput
    from mlflow.exceptions import MlflowException

    tags = store.client.get_run(run_id).data.tags
    made_by = {key: value for key, value in tags.items() if key.startswith(_MADE_BY)}
    logged = store.client.create_logged_model(
        store.experiment_id, name=name, source_run_id=run_id, tags=made_by
    )
    try:
        with tempfile.TemporaryDirectory() as temporary:
            pyfunc = Path(temporary) / "model"
            _save_pyfunc(pyfunc, folder, loader, logged.model_id, run_id)
            store.client.log_model_artifacts(logged.model_id, str(pyfunc))
    except (MlflowException, OSError) as error:
        store.client.delete_logged_model(logged.model_id)
        raise UserError(
            f"{folder}: cannot be put into {store_address.shown(store.uri)} ({first_line(error)})"
        ) from None
    store.client.finalize_logged_model(logged.model_id, "READY")
    store.client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    return str(logged.model_id)


def _save_pyfunc(target: Path, folder: Path, loader: ModuleType, model_id: str, run_id: str) -> None:
    from mlflow.models import Model, ModelSignature
    from mlflow.pyfunc import save_model
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    kind, items, parameters = loader.example(folder)
    signature = ModelSignature(
        inputs=Schema([ColSpec(kind)]),
        outputs=Schema([ColSpec(loader.OUTPUT)]),
        params=ParamSchema([ParamSpec(*entry) for entry in loader.PARAMETERS]),
    )
    with warnings.catch_warnings(action="ignore"):
        save_model(
            target,
            loader_module=loader.__name__,
            data_path=str(folder),
            code_paths=[str(_package_of(loader))],
            mlflow_model=Model(model_id=model_id, run_id=run_id),
            signature=signature,
            input_example=(items, parameters),
            pip_requirements=loader.requirements(),
        )


def _package_of(module: ModuleType) -> Path:
    """The folder of the package that a module belongs to."""
    (folder,) = sys.modules[module.__name__.partition(".")[0]].__path__
    return Path(folder)


def download_model(store: Store, version: Version) -> Path:
    """The model folder of a version: where the store keeps it on this machine, else a copy that is kept.

    Raises:
        UserError: its files are gone, or cannot be kept here.
    """
    if store_address.database_file(store.uri):
        return _model_files(store, version)
    kept = CACHE / f"{version.name}-{version.number}-{version.model_id}"
    if not kept.is_dir():
        with atomic_folder(kept) as temporary:
            _model_files(store, version, dst_path=str(temporary))
    (folder,) = kept.glob("data/*")
    return folder


def _model_files(store: Store, version: Version, **target: str) -> Path:
    """The model folder inside what MLflow keeps of a version."""
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException
    from mlflow.models import Model

    places: dict[str, Any] = {"tracking_uri": store.uri, "registry_uri": store.uri, **target}
    try:
        with store_address.as_default(store.uri):
            described = Path(download_artifacts(f"{version.uri}/MLmodel", **places))
            data = Model.load(described).flavors["python_function"]["data"]
            return Path(download_artifacts(f"{version.uri}/{data}", **places))
    except (MlflowException, OSError, KeyError) as error:
        raise UserError(
            f"{version.uri}: its files are not in the store {store_address.shown(store.uri)} "
            f"({first_line(error)}); `arbiscale register` makes a version of the workspace's model"
        ) from None
