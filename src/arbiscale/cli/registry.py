"""Commands about what was recorded: runs, runs sync, ui, register."""

from __future__ import annotations

import json
import os
import socket
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from arbiscale.errors import UserError
from arbiscale.workspace import repository_root

if TYPE_CHECKING:
    from arbiscale.config.register import RegisterSettings
    from arbiscale.tracking.store import Store

PACKED, BASELINES = Path("models/packed"), Path("models/baselines")
_ANY, _OWN = ("0.0.0.0", "::"), ("127.0.0.1", "localhost", "::1")
_PRIVATE = ("10.*", "192.168.*", *(f"172.{number}.*" for number in range(16, 32)))  # as MLflow's default
STYLES = {"FINISHED": "green", "FAILED": "red", "KILLED": "yellow", "RUNNING": "cyan"}


app = typer.Typer(help="Show the run behind every stage's present outputs.", invoke_without_command=True)


@app.command()
def sync() -> None:
    """Send what an unreachable store missed; killed processes' runs end as KILLED."""
    from arbiscale.pipeline.resume import resumable_runs
    from arbiscale.tracking.address import configured_uri
    from arbiscale.tracking.registry import has_registry
    from arbiscale.tracking.store import open_store

    sent = open_store(configured_uri()).sync(keep=resumable_runs()) if has_registry() else []
    print("\n".join(f"{run_id}: sent" for run_id in sent) or "Nothing was left to send.")


@app.callback()
def _top(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        runs()


def runs() -> None:
    """Show the run behind every stage's present outputs."""
    from arbiscale.tracking.address import configured_uri
    from arbiscale.tracking.store import open_store

    records = sorted((_record(path) for path in _records()), key=lambda record: record["started"])
    if not records:
        raise UserError(f"{repository_root() / 'runs'}: holds no run yet; `dvc repro` makes them")
    store = open_store(configured_uri())
    table = Table("stage", "run", "status", "started", "seconds", "experiment", box=None, pad_edge=False)
    for record in records:
        run = store.find(record["run_id"])
        status = str(run.info.status) if run else "not in this store"
        table.add_row(
            record["stage"],
            record["run_id"],
            f"[{STYLES.get(status, 'red')}]{status}",
            f"{record['started']:%Y-%m-%d %H:%M}",
            f"{record['seconds']:.0f}",
            record["experiment"],
        )
    Console(width=max(Console().width, 120)).print(table)  # a terminal wraps better than cut ids read


def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="to listen on")] = 5000,
    host: Annotated[str, typer.Option(help="to listen on; 0.0.0.0 lets other machines in")] = "127.0.0.1",
    allowed_hosts: Annotated[
        str,
        typer.Option(help="by which others call this machine, HOST:PORT,...; otherwise its own names"),
    ] = "",
) -> None:
    """Open MLflow's web interface on this project's store."""
    from arbiscale.tracking.address import configured_uri, shown
    from arbiscale.tracking.store import open_store
    from arbiscale.web.listening import address, listen

    store = open_store(configured_uri())
    if store.uri.startswith(("http://", "https://")):
        print(f"The store is a server: {shown(store.uri)}")
        return
    listen(host, port).close()  # refused in a line, before MLflow starts
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
    command += ["--host", host, "--port", str(port), "--uvicorn-opts", "--log-level warning"]
    name = socket.getfqdn() if host in _ANY else host
    if host not in _OWN:  # MLflow answers other machines only where they call this one by a name it knows
        names = dict.fromkeys(("localhost", "127.0.0.1", name, socket.gethostname()))
        allowed = [*(f"{each}:{port}" for each in names), *_PRIVATE]
        command += ["--allowed-hosts", allowed_hosts or ",".join(allowed)]
    runs = f"#/experiments/{store.experiment_id}?workflowType=machine_learning"  # not the GenAI view
    print(f"{address(name, port)}/{runs} (Ctrl-C ends it)", flush=True)
    quiet = {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # background jobs that nothing here uses
        "PYTHONWARNINGS": "ignore::UserWarning,ignore::DeprecationWarning",  # of its libraries
    }
    place = {"MLFLOW_BACKEND_STORE_URI": store.uri}  # no argument: a list of processes shows those
    os.execve(sys.executable, command, {**quiet, **os.environ, **place})


def register() -> None:
    """Make the workspace's packed model and baselines the challengers; the store gets those it lacks."""
    from arbiscale.config.baselines import BaselinesSettings
    from arbiscale.config.section import load_section
    from arbiscale.inference import serving
    from arbiscale.pipeline.card import write_card
    from arbiscale.pipeline.comparison import FINISHED
    from arbiscale.tracking.registry import challenge

    root, (settings, store) = repository_root(), open_registry()
    name = settings.model_name
    trained = load_section(root / "params.yaml", "baselines", BaselinesSettings).train
    models = {name: (root / PACKED, FINISHED)}
    models |= {f"{name}-{each}": (root / BASELINES / each, each) for each in trained}
    for folder, _ in models.values():
        if not folder.is_dir():
            raise UserError(
                f"{folder}: is missing; `dvc repro` makes it, `dvc pull` and `dvc checkout` bring it back"
            )
    for name, (folder, row) in models.items():
        version, created = challenge(store, folder, name, serving, row)
        if created:
            write_card(store, name, version, folder)
        print(f"{name} version {version} {'registered' if created else 'found'}: it is the challenger now")


def _records() -> list[Path]:
    return list((repository_root() / "runs").glob("*.json"))


def _record(path: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return {
            "started": datetime.fromisoformat(record["started"]).astimezone(),
            "seconds": float(record["seconds"]),
            **{key: str(record[key] or "") for key in ("stage", "run_id", "experiment")},
        }
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{path}: is not a run's record; restore it with `dvc checkout`") from None


def open_registry() -> tuple[RegisterSettings, Store]:
    """The section `register` of params.yaml, and the store."""
    from arbiscale.config.register import RegisterSettings
    from arbiscale.config.section import load_section
    from arbiscale.tracking.address import configured_uri
    from arbiscale.tracking.store import open_store

    settings = load_section(repository_root() / "params.yaml", "register", RegisterSettings)
    return settings, open_store(configured_uri())
