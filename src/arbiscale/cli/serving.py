"""The commands that serve a model over HTTP: serve, to programs, and page, to people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from arbiscale.cli.options import (
    Compile,
    Device,
    Precision,
    PrecisionOption,
    Threads,
    check_runtime,
    open_model,
)
from arbiscale.cli.registry import open_registry
from arbiscale.workspace import repository_root

if TYPE_CHECKING:
    from arbiscale.inference.model import Model
    from arbiscale.web.models import Models

Served = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="DIR",
        help="Folder, models:/NAME@ALIAS or pretrained; otherwise the champion, else as for upscale.",
    ),
]
Beside = Annotated[
    list[str] | None, typer.Option("--beside", metavar="DIR", help="A further model, to compare with.")
]
_PATIENCE_SECONDS = 900.0  # of somebody who downloads a large picture and may cancel it
Port = Annotated[int, typer.Option(min=0, max=65535, help="To listen on; 0 = any that is free.")]


def serve(
    model: Served = None,
    beside: Beside = None,
    host: Annotated[str, typer.Option(help="To listen on; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Port = 8000,
    seconds: Annotated[float, typer.Option(min=1, max=86_400, help="From a request to its answer.")] = 120,
    waiting: Annotated[int, typer.Option(min=1, max=10_000, help="Drawings asked for at once.")] = 32,
    device: Device = "auto",
    precision: PrecisionOption = Precision.FLOAT32,
    compiled: Compile = False,
    threads: Threads = 0,
) -> None:
    """Serve a model over HTTP within limits; an alias that moves is followed."""
    from arbiscale.web.app import make_app
    from arbiscale.web.listening import listen
    from arbiscale.web.running import run
    from arbiscale.web.service import Service
    from arbiscale.web.settings import ServerLimits

    with listen(host, port) as listening:
        drawing_threads = _left_to_the_worker(threads)
        models = open_models(model, beside or [], device, precision, compiled)
        app = make_app(
            Service(models, ServerLimits(seconds=seconds, waiting=waiting, threads=drawing_threads))
        )
        run(app, listening, lambda address: _announce(address, models))


def page(
    model: Served = None,
    beside: Beside = None,
    port: Port = 8765,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open it in a browser.")] = True,
    device: Device = "auto",
    precision: PrecisionOption = Precision.FLOAT32,
    compiled: Compile = False,
    threads: Threads = 0,
) -> None:
    """Open a page in the browser: drop a picture, zoom into it, compare, download."""
    import webbrowser

    from arbiscale.web.app import make_app
    from arbiscale.web.listening import listen
    from arbiscale.web.pages import add_page
    from arbiscale.web.running import run
    from arbiscale.web.service import Service
    from arbiscale.web.settings import ServerLimits

    def ready(address: str) -> None:
        _announce(address, models)
        if browser:
            webbrowser.open(address)  # which is answered as soon as the server runs

    with listen("127.0.0.1", port) as listening:
        drawing_threads = _left_to_the_worker(threads)
        models = open_models(model, beside or [], device, precision, compiled)
        app = make_app(Service(models, ServerLimits(seconds=_PATIENCE_SECONDS, threads=drawing_threads)))
        add_page(app)
        run(app, listening, ready)


def _announce(address: str, models: Models) -> None:
    print(f"{address} serves {models.label} (Ctrl-C ends it)", flush=True)


def _left_to_the_worker(threads: int) -> int:
    """How many threads draw; all else in this process computes in one.

    Each thread that computes in parallel has a team of its own. Where teams have more threads than there are
    processors, OpenMP's wait asleep for each other: a drawing takes three times as long.
    """
    import torch

    drawing = threads or torch.get_num_threads()
    torch.set_num_threads(1)
    return drawing


def open_models(
    model: str | None, beside: list[str], device: str, precision: Precision, compiled: bool
) -> Models:
    """The model asked for, loaded, and the names of those beside it.

    Without a name it is the champion, where the registry has one, else what `upscale` draws with.
    """
    where = check_runtime(device, model or _champion(), shipped=True)
    others = [check_runtime(device, each) for each in beside]
    from arbiscale.web.models import Models

    def load(name: str) -> Model:
        return open_model(name, device, precision, compiled, threads=1)

    return Models(where, load, others)


def _champion() -> str | None:
    """The champion's URI, where there is a registry that has one."""
    from arbiscale.tracking.moves import CHAMPION, champion
    from arbiscale.tracking.registry import has_registry
    from arbiscale.tracking.versions import SCHEME

    if not (repository_root() / "params.yaml").is_file() or not has_registry():
        return None
    settings, store = open_registry()
    there = champion(store, settings.model_name) is not None
    return f"{SCHEME}{settings.model_name}@{CHAMPION}" if there else None
