"""From two experiments to a champion, to a picture over HTTP and back to its data, on a tracking server.

The models are the shipped one, trained a little further: it beats bicubic, and a rate far too high spoils it.
"""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from arbiscale.inference.loading import load_model
from arbiscale.tracking import versions
from arbiscale.tracking.store import open_store
from benchmarks.soak import Server

from .conftest import Project

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("pipeline")]
TRAININGS = {"autoencoder": 60, "diffusion": 20, "align_timesteps": 4, "align_samples": 4}  # steps
SCALE = (2.5, 3.1)
PATIENCE_SECONDS = 600
PRESET = f"""# A little further than the shipped model.
data:
  crop: {{size_px: 64, per_photograph: 2}}
  split: {{test: [coffee, chelsea], validation: [flower]}}
  augmentation: {{crop_px: 32}}
autoencoder:
  lr: 1e-6
  target_px: [16, 32]
  decode_px: 16
  training: {{steps: {TRAININGS["autoencoder"]}, batch_size: 2, warmup_steps: 1}}
diffusion:
  init_from: pretrained
  lr: 1e-6
  training: {{steps: {TRAININGS["diffusion"]}, batch_size: 2, warmup_steps: 1}}
align:
  lr: 1e-6
  decoder_lr: 1e-6
  lpips_weight: 0.0
  decode_px: 16
  timesteps: {{steps: {TRAININGS["align_timesteps"]}, batch_size: 2, warmup_steps: 1}}
  samples: {{training: {{steps: {TRAININGS["align_samples"]}, batch_size: 2, warmup_steps: 1}}}}
evaluate:
  crop_px: 64
  crops_per_photograph: 2
  scales: [2, 3.3]
  perceptual: []
  trade_off: {{scales: []}}
register:
  gate:
    gain: [psnr=0]
    regression: [psnr=0.1, consistency=1, grid_energy=0.5]
    first_regression: [grid_energy=2]  # of crops of 64 px, bicubic's spectrum is no measure of a grid
runtime: {{log_every_steps: 1, validate_every_steps: 20, checkpoint_every_steps: 4}}
"""


@dataclass
class Story:
    """The project, and the server that its runs are recorded on."""

    project: Project
    server: Server

    def command(self, *arguments: str) -> tuple[int, str]:
        """Exit code and output of `arbiscale`."""
        process = self.project.start("arbiscale", *arguments)
        output, _ = process.communicate()
        return process.returncode, output

    def said(self, *arguments: str) -> str:
        """The output of an `arbiscale` that succeeds."""
        return self.project.run("arbiscale", *arguments)


@pytest.fixture
def story(smoke: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Story]:
    """The first commit of the shared project, on a server of its own; this process acts inside it, too."""
    folder = tmp_path / "project"
    smoke.run("git", "clone", "-q", str(smoke.folder), str(folder))
    environment = {**smoke.environment, "PYTHONPATH": str(folder / "src")}
    environment["XDG_CACHE_HOME"] = str(tmp_path / "cache")  # models that were downloaded
    server = Server(tmp_path, environment)
    environment["MLFLOW_TRACKING_URI"] = server.uri
    environment["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"  # an outage is noticed at once
    project = Project(folder, environment)
    first = project.run("git", "rev-list", "--max-parents=0", "HEAD").strip()
    project.run("git", "reset", "-q", "--hard", first)
    (folder / "presets/story.yaml").write_text(PRESET)
    project.run("arbiscale", "preset", "apply", "sample")
    project.run("arbiscale", "preset", "apply", "story")
    project.run("git", "config", "user.name", "test")
    project.run("git", "config", "user.email", "test@localhost")
    project.run("git", "add", "-A")
    project.run("git", "commit", "-qm", "story")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    monkeypatch.setattr(versions, "CACHE", tmp_path / "cache/arbiscale/models")
    server.start()
    yield Story(project, server)
    with suppress(ProcessLookupError):  # it was away
        server.stop()


def test_from_two_experiments_to_a_picture_and_back_to_its_data(story: Story) -> None:
    commit = story.project.run("git", "rev-parse", "HEAD").strip()
    train_through_an_outage(story)
    check_curves(story)
    rates = [part for key in ("align.lr", "align.decoder_lr") for part in ("-S", f"{key}=0.05")]
    story.project.run("dvc", "exp", "run", "--name", "hasty", *rates)
    compared = json.loads(story.said("compare", "gentle", "hasty", "--json"))
    assert compared["parameters"].keys() == {"align.lr", "align.decoder_lr"}
    (gains,) = compared["gains"]["hasty"].values()
    assert {each["metric"]: each["verdict"] for each in gains}.items() >= {("psnr", "worse")}

    assert "version 1 is the champion now: gate: psnr better by" in story.said("promote", "1")
    code, output = story.command("promote")  # the challenger: what came last
    assert code == 2
    table = [line.split() for line in output.splitlines() if line.endswith("does not hold")]
    assert [line[0] for line in table] == ["psnr", "psnr", "consistency"]
    assert "version 2: is not promoted: psnr, consistency: worse than" in output
    assert "Traceback" not in output

    photograph = story.project.folder / "photograph.png"
    Image.open(story.project.folder / "data/crops/test/coffee.png").crop((100, 100, 196, 164)).save(
        photograph
    )
    saved = serve_and_move(story, photograph)
    check_trace(story, saved, commit)


def train_through_an_outage(story: Story) -> None:
    """The experiment `gentle`, whose server dies in mid-training, and comes back while it goes on."""
    process = story.project.start("dvc", "exp", "run", "--name", "gentle")
    said: list[str] = []
    reader = threading.Thread(target=lambda: said.extend(process.stdout))
    reader.start()
    wait_for(lambda: newest_step(story) > 0, process, said)
    story.server.stop()
    wait_for(lambda: "takes no records now" in "".join(said), process, said)
    left = newest_step(story)
    wait_for(lambda: newest_step(story) > left + 4, process, said)  # it does not wait for the server
    story.server.start()
    code = process.wait(PATIENCE_SECONDS)
    reader.join()
    output = "".join(said)
    assert code == 0, output
    assert "Traceback" not in output
    assert "artifacts:" not in output  # MLflow's bar


def newest_step(story: Story) -> int:
    """Of the checkpoints of the first training."""
    found = (story.project.folder / ".resume/autoencoder").glob("*/step-*.ckpt")
    return max((int(file.stem.partition("-")[2]) for file in found), default=0)


def wait_for(
    reached: Callable[[], bool],
    process: subprocess.Popen[str] | None = None,
    said: Sequence[str] = (),
) -> None:
    patience = time.monotonic() + PATIENCE_SECONDS
    while not reached():
        assert process is None or process.poll() is None, "".join(said)
        assert time.monotonic() < patience
        time.sleep(0.02)


def check_curves(story: Story) -> None:
    """MLflow has every step of every training once, with the value that was measured."""
    client = open_store(story.server.uri).client
    run_ids = story.project.run_ids()
    for stage, steps in TRAININGS.items():
        rows = csv.DictReader((story.project.folder / f"runs/{stage}.tsv").open(), delimiter="\t")
        measured = [(int(row["step"]), float(row["train/loss"])) for row in rows]
        history = client.get_metric_history(run_ids[stage], "train/loss")
        assert sorted((point.step, point.value) for point in history) == measured
        assert [step for step, _ in measured] == [*range(steps)]
    assert {client.get_run(run_id).info.status for run_id in run_ids.values()} == {"FINISHED"}


def serve_and_move(story: Story, photograph: Path) -> Path:
    """Upscale over HTTP before, between and after two moves of the alias; the last picture's file."""
    process = story.project.start("arbiscale", "serve", "--port", "0")
    try:
        assert process.stdout
        address = process.stdout.readline().split()[0]
        before, _ = upscaled(address, photograph, version="1")
        np.testing.assert_array_equal(before, drawn_in_python(photograph))
        moved = story.said("promote", "--force", "to see it served")
        assert "version 2 is the champion now: forced: to see it served (gate: psnr" in moved
        between, _ = upscaled(address, photograph, version="2")
        np.testing.assert_array_equal(between, drawn_in_python(photograph))
        assert "version 1 is the champion again, after version 2" in story.said(
            "rollback", "--why", "spoiled"
        )
        after, data = upscaled(address, photograph, version="1")
        np.testing.assert_array_equal(after, before)
        assert (after != between).any()
    finally:
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
    assert "artifacts:" not in output  # MLflow's bar
    saved = story.project.folder / "saved.png"
    saved.write_bytes(data)
    return saved


def upscaled(address: str, photograph: Path, version: str) -> tuple[NDArray[np.uint8], bytes]:
    """What the server draws once it serves a version: pixels, and the file."""
    wait_for(lambda: json.loads(asked(f"{address}/health"))["version"] == version)
    query = urllib.parse.urlencode({"scale": "x".join(map(str, SCALE))})
    request = urllib.request.Request(
        f"{address}/upscale?{query}", photograph.read_bytes(), {"X-File-Name": photograph.name}
    )
    data = asked(request)
    pixels = np.asarray(Image.open(io.BytesIO(data)))
    assert pixels.shape == (160, 298, 3)  # 64 x 2.5, 96 x 3.1
    return pixels, data


def asked(request: str | urllib.request.Request) -> bytes:
    with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
        return bytes(answer.read())


def drawn_in_python(photograph: Path) -> Any:
    """The champion's drawing in this process, by as many threads as the server's."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return load_model("models:/arbiscale@champion", "cpu").upscale(Image.open(photograph), scale=SCALE)
    finally:
        torch.set_num_threads(threads)


def check_trace(story: Story, saved: Path, commit: str) -> None:
    """From the picture's file to version, runs, commit, parameters and data."""
    traced = json.loads(story.said("trace", str(saved), "--json"))
    assert (traced["picture"]["input"], traced["picture"]["version"]) == ("photograph.png", "1")
    assert (traced["version"]["number"], traced["version"]["aliases"]) == (1, ["champion"])
    runs = {run["stage"]: run for run in traced["runs"]}
    assert [*runs] == ["register", *[*TRAININGS][::-1], "crop", "download", "evaluate"]
    assert {run["tags"]["git_commit"] for run in runs.values()} == {commit}
    assert {run["tags"]["dvc_experiment"] for run in runs.values()} == {"gentle"}
    assert runs["register"]["id"] == traced["picture"]["run"]
    assert float(runs["align_samples"]["parameters"]["align.lr"]) == 1e-6
    assert not any(key.startswith("next_move") for run in runs.values() for key in run["parameters"])
    assert (traced["data"]["recorded"], traced["data"]["here"]) == (True, True)
    assert len(traced["data"]["manifest"]["crops"]) > 0
