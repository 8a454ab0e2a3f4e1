"""Disturb a pipeline at random moments, and hold what comes out against the undisturbed run.

    python -m benchmarks.soak FOLDER --rounds 100

FOLDER is a checkout in which `dvc repro` has run on the smoke preset and dvc.lock is committed; its trainings
and its evaluation are executed again, recorded on a tracking server of their own. Every round kills or stops
them, fills the disk, damages the newest checkpoint, cuts dvc.lock off, or takes the server away for a while.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import re
import resource
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from arbiscale.tracking.store import open_store

TRAININGS = ("autoencoder", "diffusion", "align_timesteps", "align_samples")
MOMENT_SECONDS, OUTAGE_SECONDS, FULL_DISK_SECONDS, PATIENCE_SECONDS = 8.0, 4.0, 4.0, 600.0
FULL_DISK_BYTES = 10_000  # of a file: smaller than any checkpoint
UNTOUCHED = {"download", "crop"}  # stages that do not depend on the code of the trainings
CUT_OFF = re.compile(r"'\./dvc\.lock' (validation failed|is invalid)|Unable to read RWLock-file")


class Server:
    """A tracking server that can be taken away."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.uri = f"http://127.0.0.1:{port}"
        self._command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
        self._command += ["--backend-store-uri", f"sqlite:///{folder}/soak.db", "--workers", "1"]
        self._command += ["--artifacts-destination", str(folder / "soak-artifacts")]
        self._environment = {**environment, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(
            self._command,
            env=self._environment,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        patience = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < patience:
            with suppress(OSError), urllib.request.urlopen(f"{self.uri}/health", timeout=5):
                return
            time.sleep(0.2)
        raise TimeoutError(f"{self.uri}: the tracking server does not start")

    def stop(self) -> None:
        """Kill it."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


class Soak:
    """The rounds in one folder."""

    def __init__(self, folder: Path, environment: Mapping[str, str], seed: int = 0) -> None:
        self.folder = folder
        self.server = Server(folder, environment)
        self.environment = {**environment, "MLFLOW_TRACKING_URI": self.server.uri}
        self.environment["PYTHONUNBUFFERED"] = "1"  # what a killed DVC has said is not lost
        self.random = random.Random(seed)
        self.done: Counter[str] = Counter()
        self.cut_off_by_chance = self.completed = 0
        self.log = ""
        self._finished = set(UNTOUCHED)
        self._lost: set[str] = set()  # of these, what DVC no longer knows
        self._mended = False
        self._expected = self._results()

    def run(self, rounds: int) -> Counter[str]:
        """All rounds, then to the end; returns what was done and how often.

        Raises:
            AssertionError: something is not as without disturbance.
        """
        kinds: dict[str, Callable[[subprocess.Popen[str]], None]] = {
            "killed": lambda process: self._signal(process, signal.SIGKILL),
            "stopped": lambda process: self._signal(process, signal.SIGTERM),
            "interrupted": lambda process: self._signal(process, signal.SIGINT),
            "checkpoint damaged": self._damage,
            "lock torn": self._tear_lock,
            "disk full": self._fill_disk,
            "server away": self._take_server_away,
        }
        order = [*kinds] * (rounds // len(kinds)) + self.random.sample([*kinds], rounds % len(kinds))
        self.random.shuffle(order)
        self.server.start()
        try:
            self._begin_anew()
            for number, kind in enumerate(order, start=1):
                while not self._round(kind, kinds[kind]):
                    pass
                print(
                    f"round {number} of {rounds}: {kind}; pipelines completed: {self.completed}", flush=True
                )
            while not self._end(self._start(), disturbed=False):
                pass
            self._check()
        finally:
            self.server.stop()
        return self.done

    def _round(self, kind: str, disturb: Callable[[subprocess.Popen[str]], None]) -> bool:
        """One run with a disturbance; whether there was a moment for it."""
        process = self._start()
        disturbed = self._wait_for_a_moment(process)
        if disturbed:
            disturb(process)
            self.done[kind] += 1
        if self._end(process, disturbed):
            self._check()
            self._begin_anew()
        return disturbed

    def _begin_anew(self) -> None:
        """Make the trainings run again: their code changes, its result does not."""
        module = self.folder / "src/arbiscale/training/fit.py"
        module.write_text(module.read_text(encoding="utf-8") + f"# soak {time.time_ns()}\n", encoding="utf-8")
        self._finished = set(UNTOUCHED)

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["dvc", "repro", "evaluate"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def _wait_for_a_moment(self, process: subprocess.Popen[str]) -> bool:
        """Until some time after a stage has begun its work; False where nothing is left to do."""
        begun = time.time()
        while process.poll() is None:
            notes = [*(self.folder / ".resume").glob("*/*/run.json")]
            if any(note.stat().st_mtime > begun for note in notes if note.exists()):
                time.sleep(self.random.uniform(0, MOMENT_SECONDS))
                return process.poll() is None
            time.sleep(0.05)
        return False

    def _end(self, process: subprocess.Popen[str], disturbed: bool) -> bool:
        """Wait for its end; whether all stages are done.

        What keeps it from that is the disturbance, or a file that DVC was writing when an earlier one came.
        """
        output, _ = process.communicate(timeout=PATIENCE_SECONDS)
        self.log += output
        # Python shows where it was, when Ctrl-C comes while a stage is imported.
        assert "Traceback" not in output or "KeyboardInterrupt" in output, output
        ran = re.findall("^Running stage '(.+)':", output, re.MULTILINE)
        executed = [stage for stage in ran if stage != "list"]  # which always runs
        assert self._finished.isdisjoint(executed), (self._finished, self.log)
        self._finished.update(executed[:-1])
        self._forget()
        refused = CUT_OFF.search(output) is not None
        assert not (refused and self._mended), self.log
        if refused:
            self.cut_off_by_chance += 1
            self._mend()
            self._forget()
        self._mended = refused
        assert disturbed or refused or process.returncode == 0, self.log
        return process.returncode == 0

    def _signal(self, process: subprocess.Popen[str], signum: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signum)

    def _damage(self, process: subprocess.Popen[str]) -> None:
        self._signal(process, signal.SIGKILL)
        process.wait()
        newest = max((self.folder / ".resume").glob("*/*/step-*.ckpt"), key=os.path.getmtime, default=None)
        if newest:
            content = bytearray(newest.read_bytes())
            content[self.random.randrange(len(content))] ^= 0xFF
            newest.write_bytes(content)

    def _tear_lock(self, process: subprocess.Popen[str]) -> None:
        """As where DVC is killed while it writes dvc.lock."""
        self._signal(process, signal.SIGKILL)
        process.wait()
        lock = self.folder / "dvc.lock"
        os.truncate(lock, self.random.randrange(lock.stat().st_size))
        self._mend()

    def _mend(self) -> None:
        """What docs/operations.md advises where DVC's own files are cut off."""
        if self.random.random() < 0.5:
            subprocess.run(["git", "checkout", "-q", "dvc.lock"], cwd=self.folder, check=True)
        else:
            (self.folder / "dvc.lock").unlink()
        (self.folder / ".dvc/tmp/rwlock").unlink(missing_ok=True)
        self._lost = {"crop"}  # its crops persist: DVC's run cache cannot restore them

    def _forget(self) -> None:
        self._finished -= self._lost
        self._lost = set()

    def _fill_disk(self, process: subprocess.Popen[str]) -> None:
        """The stage cannot write a larger file for a while."""
        pids = [pid for pid in _group(process.pid) if pid != process.pid]  # DVC itself is not on trial
        for limit in (FULL_DISK_BYTES, resource.RLIM_INFINITY):
            for pid in pids:
                with suppress(ProcessLookupError):
                    resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
            if limit == FULL_DISK_BYTES:
                time.sleep(FULL_DISK_SECONDS)

    def _take_server_away(self, process: subprocess.Popen[str]) -> None:
        self.server.stop()
        time.sleep(self.random.uniform(0, OUTAGE_SECONDS))
        self.server.start()

    def _results(self) -> dict[str, bytes]:
        """What must not depend on any disturbance: weights and losses."""
        weights = [file for name in TRAININGS for file in (self.folder / "models" / name).iterdir()]
        curves = [self.folder / "runs" / f"{name}.tsv" for name in TRAININGS]
        return {str(file.relative_to(self.folder)): file.read_bytes() for file in (*weights, *curves)}

    def _check(self) -> None:
        """Weights and losses to the bit; curves on the server without a hole and without a double point."""
        # The server may have been away when the last stage ended, and no stage came after it.
        subprocess.run(["arbiscale", "runs", "sync"], cwd=self.folder, env=self.environment, check=True)
        results = self._results()
        differing = [name for name in self._expected if results.get(name) != self._expected[name]]
        assert differing == [], (differing, self.log)
        client = open_store(self.server.uri).client
        for name in TRAININGS:
            run_id = json.loads((self.folder / "runs" / f"{name}.json").read_text())["run_id"]
            rows = csv.DictReader(self._expected[f"runs/{name}.tsv"].decode().splitlines(), delimiter="\t")
            expected = [(int(row["step"]), float(row["train/loss"])) for row in rows]
            history = client.get_metric_history(run_id, "train/loss")
            found = sorted((point.step, point.value) for point in history)
            assert found == expected, (name, found, expected, self.log)
            assert client.get_run(run_id).info.status == "FINISHED"
        self.completed += 1


def _group(group: int) -> list[int]:
    """The processes of a group (Linux)."""
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            if os.getpgid(int(folder.name)) == group:
                found.append(int(folder.name))
    return found


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    soak = Soak(options.folder.resolve(), os.environ, options.seed)
    done = soak.run(options.rounds)
    print(", ".join(f"{kind}: {count}" for kind, count in sorted(done.items())))
    print(f"pipelines completed: {soak.completed}; DVC's files cut off by chance: {soak.cut_off_by_chance}")


if __name__ == "__main__":
    main()
