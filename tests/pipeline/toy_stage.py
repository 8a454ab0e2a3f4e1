"""A stage that does next to nothing, what runs it, and what it leaves."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from arbiscale.pipeline.stage import Stage, run_stage
from arbiscale.tracking.store import Store

TOY = "  toy:\n    params: [seed, align.lr]\n    deps: [stages/toy.py, data]\n"
DVC = "stages:\n  crop: {}\n  download: {}\n  evaluate: {}\n" + TOY
SCRIPT = """
import os, pathlib
from arbiscale.pipeline.stage import run_stage

def main(stage):
    (stage.scratch / "attempts").open("a").write("x")
    attempts = (stage.scratch / "attempts").read_text()
    stage.run.log_metrics({"loss": 1.0}, step=len(attempts))
    pathlib.Path(os.environ["SEEN"]).write_text(f"{stage.run.id} {attempts}")
    if os.environ.get("DIE"):
        os.killpg(os.getpgid(0), 9)

run_stage("toy", main)
"""


def execute(body: Callable[[Stage], None], upstream: Sequence[str] = ("crop", "download", "gone")) -> int:
    """The exit code of a stage."""
    try:
        run_stage("toy", body, upstream=upstream)
    except SystemExit as end:
        return int(str(end.code))
    return 0


def runs(store: Store) -> list[tuple[str, str]]:
    found = store.client.search_runs([store.experiment_id])
    return [(run.info.run_id, run.info.status) for run in found]


def states(workspace: Path) -> list[Path]:
    return [path for path in (workspace / ".resume/toy").iterdir() if path.is_dir()]


def start(workspace: Path, seen: Path, **environment: str) -> subprocess.Popen[bytes]:
    source = Path(__file__).parents[2] / "src"
    variables = {**os.environ, "PYTHONPATH": str(source), "SEEN": str(seen), **environment}
    return subprocess.Popen(
        [sys.executable, "stages/toy.py"], cwd=workspace, env=variables, start_new_session=True
    )
