"""Where the repository is, seen from anywhere inside it and from DVC's temporary workspaces."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

PRETRAINED = "pretrained"  # where a model is named: the one that the package ships
PHOTOGRAPHS_READ = ".photographs.db"  # in the repository; may be deleted at any time
SHARDS_KEPT = ".shards"  # likewise
SHIPPED_MODEL = Path(str(files("arbiscale") / "models" / "compact"))


def repository_root() -> Path:
    """The user's repository, where whatever must outlast a run lives (MLflow's store, resume state).

    DVC sets DVC_ROOT to the real repository even inside `dvc exp run --temp` and queue workers;
    outside DVC it is the nearest folder upwards that holds a dvc.yaml, else the working directory.
    """
    if root := os.environ.get("DVC_ROOT"):
        return Path(root).resolve()
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "dvc.yaml").is_file():
            return folder
    return here


def find_folder(path: str) -> Path:
    """A folder that params.yaml names: of the workspace, else of the repository; or the shipped model.

    DVC's temporary workspaces hold nothing that neither git nor DVC tracks.
    """
    if path == PRETRAINED:
        return SHIPPED_MODEL
    folder = Path(path)
    return folder if folder.is_dir() else repository_root() / folder
