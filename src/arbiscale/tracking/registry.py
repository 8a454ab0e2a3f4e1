"""Versions of the registered model, their names, and the aliases that point at them.

The challenger is the version of the latest executed register; promotion makes a champion.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from arbiscale.errors import UserError
from arbiscale.files import content_hash, sha256_of_json
from arbiscale.tracking import address as store_address
from arbiscale.tracking.store import Store, open_store
from arbiscale.workspace import repository_root

SCHEME = "models:/"
CHALLENGER, CHAMPION = "challenger", "champion"
HASH_TAG = "model_sha256"  # of the model folder: weights and configuration
CODE_TAG = "code_sha256"
COMMIT_TAG = "git_commit"
PACKAGE = Path(__file__).parents[1]
SERVED_ROOMS = ("diffusion", "imaging", "inference", "models", "networks")  # as `register` in dvc.yaml


def check_registered(name: str) -> None:
    """Refuse a malformed `models:/...`, and any where there is no registry: MLflow would create one.

    Raises:
        UserError: the name is malformed, or the store's database does not exist.
    """
    if not re.fullmatch(SCHEME + r"[^/@:]+([/@][^/@:]+)?", name):
        raise UserError(f"{name}: names no model; give models:/NAME@ALIAS or models:/NAME/VERSION")
    if not has_registry():
        raise UserError(f"{name}: there is no registry here ({repository_root()}); name a model folder")


def has_registry() -> bool:
    """Whether there is a store: a server is one, a database that does not exist is none."""
    uri = store_address.store_uri(store_address.configured_uri())
    file = store_address.database_file(uri)
    return file is None or file.exists()


def find_by_hash(sha256: str) -> str | None:
    """The URI of the newest version whose model folder has a hash, of whatever registered model."""
    store = open_store(store_address.configured_uri())
    found = store.client.search_model_versions(f"tags.`{HASH_TAG}` = '{sha256}'")
    versions = sorted(found, key=lambda version: int(version.creation_timestamp))
    return f"{SCHEME}{versions[-1].name}/{versions[-1].version}" if versions else None


def served_code(package: Path = PACKAGE) -> str:
    """One hash of the code that decides what a registered model draws; versions ship it."""
    return sha256_of_json({room: content_hash(package / room) for room in SERVED_ROOMS})


def register(
    store: Store,
    folder: Path,
    name: str,
    loader: ModuleType,
    *,
    tags: Mapping[str, str],
    run_id: str | None = None,
) -> int:
    """Make a model folder a new version of the registered model `name`, and the challenger.

    A resumed run that has already made its version makes no second one.

    Args:
        store: where to.
        folder: a complete model folder.
        name: of the registered model.
        loader: the module that MLflow loads it by; see `Store.upload_model`.
        tags: recorded with the version, besides the hashes of the folder and of the code.
        run_id: the run that makes it, None for none.

    Returns:
        The version's number.
    """
    made = [number for number, carried in _versions(store, name).items() if carried["run_id"] == run_id]
    if made:
        version = max(made)
    else:
        model_id = store.upload_model(folder, name, loader, run_id)
        version = store.create_version(name, model_id, {**tags, **_hashes(folder)}, run_id)
    store.client.set_registered_model_alias(name, CHALLENGER, str(version))
    return version


def _hashes(folder: Path) -> dict[str, str]:
    return {HASH_TAG: content_hash(folder), CODE_TAG: served_code()}


def challenge(store: Store, folder: Path, name: str, loader: ModuleType) -> tuple[int, bool]:
    """Point the challenger at the newest version of this model and this code; made where there is none.

    Args:
        store: where to; an empty one in a fresh clone.
        folder: the workspace's model.
        name: of the registered model.
        loader: as in `register`.

    Returns:
        The version's number, and whether it was made now.
    """
    wanted = _hashes(folder).items()
    same = [number for number, tags in _versions(store, name).items() if wanted <= tags.items()]
    if not same:
        return register(store, folder, name, loader, tags={"restored": "true"}), True
    store.client.set_registered_model_alias(name, CHALLENGER, str(max(same)))
    return max(same), False


def promote(store: Store, name: str, version: int) -> None:
    """Make a version the champion.

    Raises:
        UserError: there is no such version.
    """
    numbers = sorted(_versions(store, name))
    if version not in numbers:
        known = ", ".join(map(str, numbers)) or "none; `arbiscale register` makes one"
        raise UserError(f"{name}: has no version {version}; versions: {known}")
    store.client.set_registered_model_alias(name, CHAMPION, str(version))


@dataclass(frozen=True)
class Registered:
    """A version of a registered model, on this machine.

    Attributes:
        folder: the model folder.
        name: of the registered model.
        version: its number.
        run_id: the run that made it; empty for none.
        git_commit: of that run; empty where it is not known.
    """

    folder: Path
    name: str
    version: int
    run_id: str
    git_commit: str


def resolve(uri: str) -> Registered:
    """The model behind a URI, downloaded where the store is not on this machine.

    Args:
        uri: `models:/NAME@ALIAS` or `models:/NAME/VERSION`, of the store that params.yaml names.

    Raises:
        UserError: the store cannot be reached or has no such model.
    """
    store = open_store(store_address.configured_uri())
    name, version = re.split("(?=@)|/", uri.removeprefix(SCHEME) + "/", maxsplit=1)
    found = store.find_version(name, version.rstrip("/"))
    if found is None:
        raise UserError(f"{uri}: no such model in {store_address.shown(store.uri)}")
    return Registered(
        store.download_model(found),
        name,
        int(found.version),
        found.run_id or "",
        found.tags.get(COMMIT_TAG, ""),
    )


def _versions(store: Store, name: str) -> dict[int, dict[str, str]]:
    """The tags of every version, by its number; `run_id` among them."""
    found = store.client.search_model_versions(f"name = '{name}'")
    return {int(version.version): {**version.tags, "run_id": version.run_id or ""} for version in found}
