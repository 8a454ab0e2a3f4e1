"""How scripts of stages end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SLOW = """
import runpy, time
from arbiscale.data import sources
sources.open_source = lambda settings: print("begun", flush=True) or time.sleep(60)
runpy.run_path("stages/list.py", run_name="__main__")
"""


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_listing_that_is_stopped_says_so_in_one_line(signum: signal.Signals) -> None:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", SLOW], cwd=ROOT, **pipes) as process:
        assert process.stdout
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signum)
        _, said = process.communicate()
    assert said == f"list: stopped by {signum.name}; the same command continues it\n"
    assert process.returncode == 128 + signum


NAMES = """
from arbiscale.pipeline.ending import ends_in_one_line
with ends_in_one_line("toy"):
    print("\\N{SLIGHTLY SMILING FACE}.png")
"""


def test_names_may_hold_what_the_terminal_cannot_show() -> None:
    environment = os.environ | {"PYTHONIOENCODING": "latin-1"}
    done = subprocess.run([sys.executable, "-c", NAMES], env=environment, capture_output=True, check=True)
    assert done.stdout == b"\\U0001f642.png\n"
