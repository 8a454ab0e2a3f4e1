"""Threads that read, processes that compute."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from PIL import Image

from arbiscale.config.data import FolderSettings
from arbiscale.config.params import load_params
from arbiscale.config.processors import available_processors
from arbiscale.data.index import Index
from arbiscale.data.manifest import Manifest
from arbiscale.data.parallel import Engine, Ready, read_and_compute
from arbiscale.data.scan import scan
from arbiscale.data.sources.folder import Folder
from arbiscale.errors import UserError
from arbiscale.models.device import choose_device
from tests.data.test_crops import digests

MANY = range(300)


def read(number: int) -> str | Ready:
    """What `eval` makes a square of, and the process that computes it; every tenth is there already."""
    return Ready((-1, 0)) if number % 10 == 0 else f"({number}**2, __import__('os').getpid())"


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_results_stand_in_the_order_of_the_tasks(processes: int):
    found = [*read_and_compute(read, eval, MANY, threads=2, engine=Engine(processes))]
    assert [value for value, _ in found] == [-1 if number % 10 == 0 else number**2 for number in MANY]
    assert (os.getpid() in {process for _, process in found}) == (processes == 1)


def test_few_tasks_start_no_process():
    found = [*read_and_compute(read, eval, range(9), threads=2, engine=Engine(3))]
    assert {process for _, process in found} == {0, os.getpid()}


def test_an_error_is_raised_as_it_is():
    names = ["cpu"] * 77 + ["abacus"] + ["cpu"] * 222
    with pytest.raises(UserError, match="'abacus': is none of auto, cpu"):
        [*read_and_compute(str, choose_device, names, threads=2, engine=Engine(2))]
    assert not multiprocessing.active_children()


def test_a_killed_process_is_one_line():
    def read(number: int) -> int | Ready:
        return 9 if number == 77 else Ready(None)

    with pytest.raises(UserError, match=r"one of 2 processes .* set runtime\.workers to fewer") as caught:
        [*read_and_compute(read, os._exit, MANY, threads=2, engine=Engine(2))]
    assert "\n" not in str(caught.value)


def test_a_killed_parent_leaves_no_process(tmp_path: Path):
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, time\n"
        "from arbiscale.data.parallel import Engine, read_and_compute\n"
        "if __name__ == '__main__':\n"
        "    for _ in read_and_compute(lambda each: each, abs, range(300), threads=1, engine=Engine(2)):\n"
        "        print('begun', flush=True)\n"
        "        time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE)
    assert parent.stdout.readline() == b"begun\n"
    children = psutil.Process(parent.pid).children(recursive=True)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert len(children) >= 2
    _, alive = psutil.wait_procs(children, timeout=20)
    for each in alive:
        with suppress(psutil.NoSuchProcess):
            each.kill()
    assert not alive


def test_the_number_of_processes_changes_no_byte(
    cut: Callable[..., Manifest], own: Path, tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("arbiscale.data.parallel._FEW", 1)
    (own / "broken.jpg").write_bytes(b"nothing")
    Image.new("RGB", (64, 64)).save(own / "f.tif")
    for processes in (1, 3):
        again = Folder(FolderSettings(path=str(own)))
        scan(again, tmp_path / f"raw{processes}", index, f"code{processes}", Engine(processes))
        for store in ("pixels", "photographs"):
            cut(f"{store}{processes}", engine=Engine(processes), store=store)
    for name in ("raw", "pixels", "photographs"):
        assert digests(tmp_path / f"{name}1") == digests(tmp_path / f"{name}3")


def test_processes_are_those_of_runtime_workers_or_all():
    runtime = load_params(Path(__file__).parents[2] / "params.yaml").runtime
    wanted = {None: available_processors(), 0: 1, 1: 1, 5: 5}
    for workers, count in wanted.items():
        found = Engine.of(runtime.model_copy(update={"workers": workers, "ray_address": "auto"}))
        assert found == Engine(count, "auto")


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of two nodes on this machine, a processor each."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    nodes.add_node(num_cpus=1)
    yield nodes.address
    nodes.shutdown()


@pytest.mark.slow
def test_a_cluster_gives_the_same_bytes(
    cluster: str,
    cut: Callable[..., Manifest],
    own: Path,
    tmp_path: Path,
    index: Index,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("arbiscale.data.parallel._FEW", 1)
    source = Folder(FolderSettings(path=str(own)))
    for name, engine in {"here": Engine(), "there": Engine(1, cluster)}.items():
        scan(source, tmp_path / f"{name}-raw", index, name, engine)
        cut(f"{name}-crops", engine=engine)
    for name in ("raw", "crops"):
        assert digests(tmp_path / f"here-{name}") == digests(tmp_path / f"there-{name}")


@pytest.mark.slow
def test_tasks_are_computed_on_both_nodes_and_errors_come_back(cluster: str):
    engine = Engine(1, cluster)
    found = [*read_and_compute(read, eval, MANY, threads=2, engine=engine)]
    assert [value for value, _ in found] == [-1 if number % 10 == 0 else number**2 for number in MANY]
    assert len({process for _, process in found} - {0, os.getpid()}) >= 2
    names = ["cpu"] * 77 + ["abacus"] + ["cpu"] * 222
    with pytest.raises(UserError, match="'abacus': is none of auto, cpu") as caught:
        [*read_and_compute(str, choose_device, names, threads=2, engine=engine)]
    assert "\n" not in str(caught.value)


def test_no_cluster_is_one_line():
    pytest.importorskip("ray")
    with pytest.raises(UserError, match=r"ray_address: 127\.0\.0\.1:9: no cluster answers") as caught:
        [*read_and_compute(read, eval, MANY, threads=2, engine=Engine(1, "127.0.0.1:9"))]
    assert "\n" not in str(caught.value)
