"""Versions of the registered model, their names, and the aliases that point at them.

The challenger is the version of the latest executed register; for champions see `arbiscale.tracking.moves`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from arbiscale.errors import UserError
from arbiscale.files import content_hash, sha256_of_json
from arbiscale.tracking import address as store_address
from arbiscale.tracking.environment import command_state
from arbiscale.tracking.stage_run import StageRun
from arbiscale.tracking.store import Store, open_store
from arbiscale.tracking.versions import (
    SCHEME,
    Version,
    create_version,
    download_model,
    find_uri,
    list_versions,
    upload_model,
    versions_of,
)
from arbiscale.workspace import repository_root

CHALLENGER = "challenger"
HASH_TAG = "model_sha256"  # of the model folder: weights and configuration
CODE_TAG = "code_sha256"
CARD_TAG = "data_card_sha256"  # of the card.json of the crops that a training saw
EVALUATION_TAG, ROW_TAG = "evaluation", "row"  # the run that measured it, and its row in that table
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
    run_id: str,
) -> int:
    """Make a model folder a new version of the registered model `name`, and the challenger.

    A resumed run that has already made its version makes no second one.

    Args:
        store: where to.
        folder: a complete model folder.
        name: of the registered model.
        loader: the module that MLflow loads it by; see `upload_model`.
        tags: recorded with the version, besides the hashes of the folder and of the code.
        run_id: the run that makes it.

    Returns:
        The version's number.
    """
    made = [each.number for each in versions_of(store, name) if each.run_id == run_id]
    if made:
        version = max(made)
    else:
        model_id = upload_model(store, folder, name, loader, run_id)
        version = create_version(store, name, model_id, {**tags, **_hashes(folder)}, run_id)
    store.client.set_registered_model_alias(name, CHALLENGER, str(version))
    return version


def _hashes(folder: Path) -> dict[str, str]:
    return {HASH_TAG: content_hash(folder), CODE_TAG: served_code()}


def link_figures(run: StageRun, version: Version) -> None:
    """Have a version's page show the figures of its evaluation, where one is recorded."""
    if EVALUATION_TAG in version.tags and ROW_TAG in version.tags:
        run.link_figures(version.tags[EVALUATION_TAG], version.tags[ROW_TAG], version.model_id)


def challenge(store: Store, folder: Path, name: str, loader: ModuleType, row: str = "") -> tuple[int, bool]:
    """Point the challenger at the newest version of this model and this code; made where there is none.

    Args:
        store: where to; an empty one in a fresh clone.
        folder: the workspace's model.
        name: of the registered model.
        loader: as in `register`.
        row: of evaluations, that it is measured as.

    Returns:
        The version's number, and whether it was made now.
    """
    wanted = _hashes(folder).items()
    same = [each.number for each in versions_of(store, name) if wanted <= each.tags.items()]
    if not same:
        made_by = command_state("register")
        known = {"restored": "true", "git_commit": made_by.get("git_commit"), ROW_TAG: row}
        tags = {tag: value for tag, value in known.items() if value}
        with store.run("register", tags=made_by | {"restored": "true"}, params={}) as run:
            return register(store, folder, name, loader, tags=tags, run_id=run.id), True
    store.client.set_registered_model_alias(name, CHALLENGER, str(max(same)))
    return max(same), False


def resolve(uri: str) -> tuple[Path, Version]:
    """The model folder behind a URI, downloaded where the store is not on this machine, and the version.

    Args:
        uri: `models:/NAME@ALIAS` or `models:/NAME/VERSION`, of the store that params.yaml names.

    Raises:
        UserError: the store cannot be reached or has no such model.
    """
    store = open_store(store_address.configured_uri())
    found = find_uri(store, uri)
    if found is None:
        raise UserError(f"{uri}: no such model in {store_address.shown(store.uri)}")
    return download_model(store, found), found


def find_by_hash(sha256: str) -> str | None:
    """The URI of the newest version whose model folder has a hash, of whatever registered model."""
    found = with_hash(open_store(store_address.configured_uri()), sha256)
    return found[-1].uri if found else None


def with_hash(store: Store, sha256: str) -> list[Version]:
    """The versions whose model folder has a hash, of whatever registered models, the oldest first."""
    return list_versions(store, f"tags.`{HASH_TAG}` = '{sha256}'")
