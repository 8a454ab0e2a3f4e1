"""A run read back: curves whole, resumed or gone."""

from pathlib import Path

from arbiscale.tracking.recorded_run import read_run
from arbiscale.tracking.store import open_store


def test_what_a_run_recorded_is_read_back(project: Path) -> None:
    store = open_store()
    with store.run("diffusion", tags={"data_hash": "abc"}, params={}) as run:
        for step, loss in [(0, 3.0), (10, 2.0), (20, 9.0)]:
            run.log_metrics({"train/loss": loss, "lr": 1.0}, step=step)
        run.log_metrics({"train/loss": 1.0}, step=20)  # as a resumed run does
    recorded = read_run(store, run.id, curves=["train/", "validation/"])
    assert recorded is not None
    assert recorded.curves == {"train/loss": [(0, 3.0), (10, 2.0), (20, 9.0)]}
    assert recorded.tags["data_hash"] == "abc"
    assert read_run(store, "0" * 32) is None
    store.client.delete_run(run.id)
    assert read_run(store, run.id) is None
