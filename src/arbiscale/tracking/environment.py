"""What a run should remember of where it ran: commit, experiment, machine and packages."""

from __future__ import annotations

import getpass
import hashlib
import os
import platform
import subprocess
import sys
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import psutil

from arbiscale.workspace import repository_root

_REWRITTEN = (  # by a run of the pipeline, or recorded as parameters
    ":(top,exclude,glob)**/dvc.lock",
    ":(top,exclude,glob)**/metrics/*.json",
    ":(top,exclude)params.yaml",
)


def git_state(folder: Path) -> dict[str, str]:
    """`git_commit`, `git_dirty` and MLflow's own tags of the work tree; empty without git or a commit.

    dvc.lock, metrics/ and params.yaml do not count as changes: a run of the pipeline rewrites them, or
    records them. In a DVC experiment the commit is the one the experiment started from: the temporary
    workspaces of `--temp` and `--queue` stand on commits that are thrown away.
    """
    commit = os.environ.get("DVC_EXP_BASELINE_REV") or _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "diff", "--name-only", commit, "--", *_REWRITTEN) if commit else None
    if not commit or changes is None:
        return {}
    tags = {"git_commit": commit, "mlflow.source.git.commit": commit, "git_dirty": str(bool(changes)).lower()}
    branch = _git(folder, "symbolic-ref", "--short", "HEAD")
    return tags | ({"mlflow.source.git.branch": branch} if branch else {})


def git_changes(folder: Path, commit: str) -> str:
    """What differs from a commit, as a patch; without what `git_state` passes over."""
    return _git(folder, "diff", commit, "--", *_REWRITTEN) or ""


def committed(folder: Path, commit: str, name: str) -> str | None:
    """A file's content in a commit; None where it has none."""
    return _git(folder, "show", f"{commit}:./{name}")


def _git(folder: Path, *arguments: str) -> str | None:
    """The output of a git command, None where it fails."""
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def experiment_state() -> dict[str, str]:
    """`dvc_experiment` and `dvc_stage`, as DVC names them to the commands that it runs."""
    names = {"dvc_experiment": "DVC_EXP_NAME", "dvc_stage": "DVC_STAGE"}
    return {tag: value for tag, name in names.items() if (value := os.environ.get(name))}


def process_state() -> dict[str, str]:
    """Who runs this, in MLflow's own tags; and an id that all stages of one `dvc` command share."""
    tags = {"mlflow.user": getpass.getuser(), "mlflow.source.type": "LOCAL"}
    for process in psutil.Process().parents():
        with suppress(psutil.Error):
            if any(Path(part).name == "dvc" for part in process.cmdline()[:3]):
                began = f"{platform.node()} {process.pid} {process.create_time()}"
                return tags | {"pipeline_run": hashlib.sha256(began.encode()).hexdigest()[:12]}
    return tags


def command_state(command: str) -> dict[str, str]:
    """Of a run that a command makes, such as `promote`, and no stage: who, by what, from which commit."""
    return {"mlflow.source.name": f"arbiscale {command}"} | process_state() | git_state(repository_root())


def machine_state() -> dict[str, str]:
    """Host, platform, processors, and the versions of Python and torch."""
    return {
        "host": platform.node(),
        "platform": platform.platform(),
        "processors": str(os.cpu_count()),
        "python": platform.python_version(),
        "torch": metadata.version("torch"),
    }


def accelerator(device: str = "cuda") -> str | None:
    """The name of the CUDA device that this process used, None if it used none.

    Asked after the work, so that stages without torch need not import it for this.

    Args:
        device: such as `cuda:1`; without a number, or another word, the current one.
    """
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    return str(torch.cuda.get_device_name(device if ":" in device else None))


def installed_packages() -> str:
    """The installed packages, one `name==version` a line, sorted: what pip freeze shows."""
    pairs = {
        (found.metadata["Name"], found.version)
        for found in metadata.distributions()
        if found.metadata["Name"]
    }
    return "".join(
        f"{name}=={version}\n" for name, version in sorted(pairs, key=lambda pair: pair[0].lower())
    )
