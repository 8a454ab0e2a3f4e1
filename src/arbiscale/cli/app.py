"""The command `arbiscale`: its sub-commands, and how mistakes are shown."""

from __future__ import annotations

import errno
import gc
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

import typer

from arbiscale import __version__
from arbiscale.cli import (
    comparing,
    film,
    generation,
    inputs,
    presets,
    project,
    promotion,
    redrawing,
    registry,
    resume,
    serving,
    tracing,
    upscaling,
)
from arbiscale.cli import published as checkpoints
from arbiscale.errors import UserError, extras_named
from arbiscale.files import print_any_name
from arbiscale.pipeline.signals import Interrupted, stop_signals

OBJECTS_BETWEEN_COLLECTIONS = 10_000  # instead of 700: importing torch and diffusers collects for 0.6 s less

_OF_PLACES = {errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP, errno.EROFS, errno.ENOTDIR}
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

app = typer.Typer(
    help="Arbitrary-scale image generation and super-resolution: one model for any output size.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(upscaling.upscale)
app.command()(generation.generate)
app.command()(film.zoom)
app.command()(redrawing.redo)
app.command()(tracing.trace)
app.command()(project.check)
app.add_typer(presets.app, name="preset")
app.command()(project.weights)
app.command()(inputs.inputs)
app.command()(checkpoints.import_checkpoint)
app.command()(checkpoints.export_checkpoint)
app.command()(checkpoints.halve)
app.add_typer(registry.app, name="runs")
app.command()(registry.ui)
app.add_typer(resume.app, name="resume")
app.command()(registry.register)
app.command()(comparing.compare)
app.command()(promotion.promote)
app.command()(promotion.rollback)
app.command()(serving.serve)
app.command()(serving.page)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command line (the process's own by default) and end the process with its exit code.

    A mistake of the user's ends it with code 2 after one line on standard error. Ctrl-C and SIGTERM end it
    with 128 + the signal's number, once what was begun is cleared away.
    """
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    print_any_name()
    try:
        with extras_named(), stop_signals() as signals:
            code = app(arguments, prog_name="arbiscale", standalone_mode=False)
            signals.check()  # typer makes another end of them
        if sys.stdout is not None:
            sys.stdout.flush()  # else Python does when it ends, and complains in its own way
    except UserError as error:
        sys.exit(_fail(str(error), 2))
    except Interrupted as stopped:
        sys.exit(128 + stopped.signum)
    except OSError as error:
        sys.exit(_refused_by_system(error))
    except typer.TyperException as error:  # wrong options and arguments
        message = error.format_message().replace("Input should be", "must be").replace("Value error, ", "")
        hint = " (put -- before names that begin with -)" if message.startswith("No such option") else ""
        sys.exit(_fail(message + hint, error.exit_code))
    except Exception as error:
        from arbiscale.tracking.address import refusal

        line = refusal(error)
        if line is None:
            raise
        sys.exit(_fail(line, 2))
    sys.exit(code)


@app.callback(invoke_without_command=True)
def _top(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    if version:
        print(f"arbiscale {__version__}")
    elif context.invoked_subcommand is None:
        print(context.get_help())


def _refused_by_system(error: OSError) -> int:
    """Say what a user can mend; the exit code. Raises any other error again."""
    if error.filename is not None and error.errno in _OF_PLACES:
        return _fail(f"{error.filename}: {error.strerror}; name another place, or change this one", 2)
    if error.errno not in {*_NO_ROOM, errno.EPIPE}:
        raise error
    with suppress(OSError, ValueError):  # what standard output did not take is tried no more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if error.errno == errno.EPIPE:  # whoever read has seen enough
        return 1
    place = error.filename or "standard output or a file"
    return _fail(f"{place}: cannot be written ({error.strerror}); make room and try again", 2)


def _fail(message: str, code: int) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return code
