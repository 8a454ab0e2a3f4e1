"""The name of a registered model, looked at before MLflow is."""

from __future__ import annotations

import re

from arbiscale import store_address
from arbiscale.errors import UserError

SCHEME = "models:/"


def check_registered(name: str) -> None:
    """Refuse `models:/...` that names no model, or a model of a registry that is not there.

    MLflow would create the registry's database first, and then say that the model is not in it.

    Raises:
        UserError: as said.
    """
    if not re.fullmatch(SCHEME + r"[^/@:]+([/@][^/@:]+)?", name):
        raise UserError(f"{name}: names no model; give models:/NAME@ALIAS or models:/NAME/VERSION")
    uri = store_address.store_uri(store_address.configured_uri())
    file = store_address.database_file(uri)
    if file is not None and not file.exists():
        raise UserError(f"{name}: there is no registry here ({file}); name a model folder")
