"""A team: two clones, MLflow on PostgreSQL, a bucket. Commands are those of docs/team.md and compose.yaml."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from PIL import Image

from tests.documents import block
from tests.postgresql import Database, free_port
from tests.team_servers import KEY, SECRET, Tracking, bucket_client

from .conftest import Project, environment_of

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("team")]
STAGES = [
    "download",
    "crop",
    "autoencoder",
    "diffusion",
    "align_timesteps",
    "align_samples",
    "evaluate",
    "register",
]


@dataclass(frozen=True)
class Team:
    """Two clones of one repository; the first has trained two models and pushed everything.

    Attributes:
        said: what the commands of the page printed, by their heading.
    """

    first: Project
    second: Project
    client: MlflowClient
    said: dict[str, str]


@pytest.fixture(scope="module")
def team(
    make_project: Callable[..., Project],
    metric_network: Path,
    tracking_server: Tracking,
    s3_server: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Team:
    folder, said = tmp_path_factory.mktemp("team"), {}
    (folder / "first").mkdir()
    first = make_project(folder / "first")
    origin = folder / "server" / "arbiscale.git"
    first.run("git", "clone", "-q", "--bare", ".", str(origin))
    first.run("git", "remote", "add", "origin", str(origin))
    first.run("git", "fetch", "-q", "origin")
    branch = first.run("git", "branch", "--show-current").strip()
    first.run("git", "branch", "--set-upstream-to", f"origin/{branch}")
    here = {
        "http://tracking.example.org:5000": tracking_server.url,
        "http://tracking.example.org:8333": s3_server,
        "git@example.org:team/arbiscale.git": str(origin),
        "access_key_id KEY": f"access_key_id {KEY}",
        "secret_access_key SECRET": f"secret_access_key {SECRET}",
    }

    def follow(project: Project, heading: str, *, skip: int = 0) -> None:
        """Run the commands below a heading of the page, here."""
        commands = "".join(block("docs/team.md", f"## {heading}").splitlines(keepends=True)[skip:])
        for name, own in here.items():
            commands = commands.replace(name, own)
        said[heading] = project.run("bash", "-euc", commands)

    follow(first, "The repository, once")
    follow(first, "Every member, once", skip=2)  # who set it up has a clone
    follow(first, "Train, and give it to the others")
    params = first.folder / "params.yaml"
    params.write_text(re.sub(r"(?<=^  lr: )8e-4", "4e-4", params.read_text(), flags=re.M))
    said["another rate"] = first.run("dvc", "repro")
    first.run(
        "bash", "-euc", "git commit --quiet --all --message 'Another rate'; dvc push --run-cache; git push"
    )

    away = replace(first, folder=folder)
    follow(away, "Every member, once")
    second = Project(folder / "arbiscale", environment_of(folder / "arbiscale", metric_network))
    second.run("git", "config", "user.name", "second")
    second.run("git", "config", "user.email", "second@localhost")
    follow(second, "Take it over")
    return Team(first, second, MlflowClient(tracking_server.url, tracking_server.url), said)


def test_what_one_has_trained_nobody_trains_again(team: Team) -> None:
    assert team.first.executed(team.said["Train, and give it to the others"]) == STAGES
    assert team.first.executed(team.said["another rate"]) == STAGES[-4:]
    assert team.second.executed(team.said["Take it over"]) == []
    assert team.second.weights() == team.first.weights()
    assert team.second.run_ids() == team.first.run_ids()
    params = team.second.folder / "params.yaml"
    params.write_text(re.sub(r"(?<=^  lr: )4e-4", "8e-4", params.read_text(), flags=re.M))
    back = team.second.run("dvc", "repro", "--pull")
    assert team.second.executed(back) == ["evaluate"]  # metrics/summary.json is in no cache
    assert team.second.weights() != team.first.weights()
    team.second.restore()


def test_runs_models_and_moves_are_everybodys(team: Team) -> None:
    """The page's `Together`, by both."""
    first, second = team.first, team.second
    compared = json.loads(second.run("arbiscale", "compare", "1", "2", "--json"))
    assert {*compared["parameters"]} == {"align.lr"}
    assert all(of_one["sample"] for of_one in compared["gains"].values())
    first.run("arbiscale", "promote", "1", "--force", "the first")
    drawn = second.folder / "drawn.png"
    model = ("--model", "models:/arbiscale@champion")
    second.run("arbiscale", "upscale", "data/crops/test/coffee.png", str(drawn), "--size", "90x70", *model)
    assert Image.open(drawn).size == (70, 90)
    second.run("arbiscale", "promote", "2", "--force", "the second")
    assert team.client.get_model_version_by_alias("arbiscale", "champion").version == "2"
    traced = json.loads(first.run("arbiscale", "trace", "champion", "--json"))
    assert (traced["data"]["recorded"], traced["data"]["here"]) == (True, True)
    first.run("arbiscale", "rollback")
    assert team.client.get_model_version_by_alias("arbiscale", "champion").version == "1"


def test_versions_show_their_figures(team: Team) -> None:
    """With the data that they were measured on, also where a database does not let anything be sent twice."""
    for number in ("1", "2"):
        version = team.client.get_model_version("arbiscale", number)
        measured = team.client.get_run(version.tags["evaluation"])
        (data,) = [each.dataset for each in measured.inputs.dataset_inputs]
        logged = team.client.get_logged_model(version.source.removeprefix("models:/")).metrics
        shown = {each.key: each.value for each in logged if each.run_id == measured.info.run_id}
        own = {key: value for key, value in measured.data.metrics.items() if "/align_samples/" in key}
        assert shown == {key: value for key, value in own.items() if not key.startswith("trade_off/")}
        assert {(each.dataset_name, each.dataset_digest) for each in logged} == {(data.name, data.digest)}
        for key in shown:
            assert len(team.client.get_metric_history(measured.info.run_id, key)) == 1


def test_both_record_at_once(team: Team) -> None:
    before = {run.info.run_id for run in runs_of(team, "align_timesteps")}
    clones = (team.first, team.second)
    processes = [clone.start("dvc", "repro", "-f", "-s", "align_timesteps") for clone in clones]
    outputs = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    new = [run for run in runs_of(team, "align_timesteps") if run.info.run_id not in before]
    assert [run.info.status for run in new] == ["FINISHED"] * 2
    assert {run.info.run_id for run in new} == {clone.run_ids()["align_timesteps"] for clone in clones}
    curves = [team.client.get_metric_history(run.info.run_id, "train/loss") for run in new]
    assert [sorted(point.step for point in curve) for curve in curves] == [[0, 1, 2, 3]] * 2
    spans = [(run.info.start_time, run.info.end_time) for run in new]
    assert max(start for start, _ in spans) < min(end for _, end in spans)  # it was at once
    for clone in clones:
        clone.restore()


def runs_of(team: Team, stage: str) -> list[Any]:
    (experiment,) = [each for each in team.client.search_experiments() if each.name == "arbiscale"]
    return team.client.search_runs([experiment.experiment_id], f"tags.stage = '{stage}'")


def test_one_bucket_holds_the_files_of_both(team: Team, s3_server: str) -> None:
    pages = bucket_client(s3_server).get_paginator("list_objects_v2").paginate(Bucket="arbiscale")
    keys = [each["Key"] for page in pages for each in page["Contents"]]
    assert {key.partition("/")[0] for key in keys} == {"dvc", "mlflow"}
    assert any(key.startswith("dvc/runs/") for key in keys)
    assert any(key.startswith("mlflow/") and key.endswith(".safetensors") for key in keys)
    run = team.client.get_run(team.first.run_ids()["register"])
    assert run.info.artifact_uri.startswith("mlflow-artifacts:/")  # through the server: clients need no keys
    config = (team.second.folder / ".dvc/config.local").read_text()
    assert SECRET in config
    assert ".dvc/config.local" not in team.second.run("git", "ls-files")
    assert not (team.first.folder / "mlflow.db").exists()


def test_other_names_are_refused_in_one_line(team: Team, tracking_server: Tracking) -> None:
    other = tracking_server.url.replace("127.0.0.1", "localhost")
    environment = team.second.environment | {"MLFLOW_TRACKING_URI": other}
    process = replace(team.second, environment=environment).start("arbiscale", "compare", "1", "2")
    said = process.communicate()[0]
    assert process.returncode == 2
    assert len(said.splitlines()) == 1
    assert "Invalid Host header" in said
    assert other in said


def test_health_checks_say_what_is_wrong(tracking_server: Tracking, postgresql: Database) -> None:
    command, environment = tracking_server.command(
        "database", tracking_server.services["database"]["healthcheck"]["test"][1:]
    )
    command[0] = str(postgresql.programs / command[0])
    environment |= {"PGHOST": "127.0.0.1", "PGPORT": str(postgresql.port)}
    assert subprocess.run(command, env=environment).returncode == 0
    assert subprocess.run(command, env=environment | {"PGPORT": str(free_port())}).returncode != 0
    assert tracking_server.check("tracking")
    assert not replace(tracking_server, port=free_port()).check("tracking")


def test_the_readmes_remote(s3_server: str, smoke: Project, tmp_path: Path) -> None:
    """Its block, in a project of one stage: another clone has everything and runs nothing."""
    commands = block("README.md", "## With others")
    install, commands = commands.split("\n", 1)
    assert install == "pip install 'arbiscale[train,s3]'"
    own = {"s3://bucket/": "s3://remote/", "https://s3.example.org": s3_server, "KEY": KEY, "SECRET": SECRET}
    for name, here in own.items():
        assert name in commands
        commands = commands.replace(name, here)
    bucket_client(s3_server).create_bucket(Bucket="remote")
    project = replace(smoke, folder=tmp_path / "project")
    project.folder.mkdir()
    stage = {"cmd": "cp params.yaml made.yaml", "deps": ["params.yaml"], "outs": ["made.yaml"]}
    (project.folder / "dvc.yaml").write_text(json.dumps({"stages": {"make": stage}}))
    made = "git init -q; git config user.name test; git config user.email test@localhost; dvc init -q"
    run = "echo 'a: 1' > params.yaml; dvc repro"
    project.run("bash", "-euc", f"{made}; {run}\n{commands}\ngit add --all; git commit -qm one")
    project.run(
        "bash", "-euc", "echo 'a: 2' > params.yaml; dvc repro; dvc push --run-cache; git commit -qam two"
    )
    project.run("git", "clone", "-q", ".", str(tmp_path / "clone"))
    clone = replace(smoke, folder=tmp_path / "clone")
    (clone.folder / ".dvc/config.local").write_text((project.folder / ".dvc/config.local").read_text())
    clone.run("dvc", "pull", "--run-cache")
    assert (clone.folder / "made.yaml").read_text() == "a: 2\n"
    assert clone.executed(clone.run("dvc", "repro", "--pull")) == []
    (clone.folder / "params.yaml").write_text("a: 1\n")
    assert clone.executed(clone.run("dvc", "repro", "--pull")) == []
    assert (clone.folder / "made.yaml").read_text() == "a: 1\n"
