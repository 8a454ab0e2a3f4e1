import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from arbiscale.errors import UserError
from arbiscale.tracking import moves
from arbiscale.tracking.moves import Move, champion, former_champion, move
from arbiscale.tracking.store import Store, open_store
from arbiscale.tracking.versions import Version, create_version, find_version


@pytest.fixture
def store(project: Path) -> Store:
    return open_store()


@pytest.fixture
def versions(store: Store) -> list[Version]:
    """Four versions of `m`."""
    made = []
    for _ in range(4):
        with store.run("register", tags={}, params={}) as run:
            model_id = store.client.create_logged_model(store.experiment_id, name="m").model_id
            number = create_version(store, "m", model_id, {}, run.id)
        made.append(find_version(store, "m", str(number)))
    return made


def promoted(store: Store, version: Version, why: str = "better") -> Move:
    return move(store, "promote", version, champion(store, version.name), why, {"gate": "held"})


def rolled_back(store: Store) -> Move:
    former = former_champion(store, "m")
    return move(store, "rollback", former, champion(store, "m"), "it failed", {})


def test_a_move_says_who_when_why(store: Store, versions: list[Version], tmp_path: Path) -> None:
    assert champion(store, "m") is None
    first = promoted(store, versions[0])
    second = promoted(store, versions[2], "much better")
    assert champion(store, "m").number == 3
    assert (second.before, second.after, second.why, second.kind) == (1, 3, "much better", "promote")
    assert "@" in second.who
    assert first.before is None
    assert first.at <= second.at
    assert moves.moves(store, "m") == [first, second]
    run = store.client.get_run(second.run_id)
    assert (run.info.run_name, run.info.status) == ("promote · m 1 → 3", "FINISHED")
    assert run.data.tags["mlflow.note.content"] == "much better"
    record = store.download_artifact(second.run_id, "decision.json", tmp_path)
    assert json.loads(record.read_text()) == {"gate": "held"}


def test_rolling_back_goes_back_step_by_step(store: Store, versions: list[Version]) -> None:
    for version in (versions[0], versions[1], versions[3]):
        promoted(store, version)
    assert [rolled_back(store).after for _ in range(2)] == [2, 1]
    with pytest.raises(UserError, match="no champion before version 1"):
        former_champion(store, "m")
    promoted(store, versions[2])
    assert rolled_back(store).after == 1


def test_versions_that_were_deleted_are_passed_over(store: Store, versions: list[Version]) -> None:
    for version in versions[:3]:
        promoted(store, version)
    store.client.delete_model_version("m", "2")
    assert former_champion(store, "m").number == 1


def test_versions_that_were_deleted_are_passed_over_step_by_step(
    store: Store, versions: list[Version]
) -> None:
    for version in versions:
        promoted(store, version)
    store.client.delete_model_version("m", "3")
    assert [rolled_back(store).after for _ in range(2)] == [2, 1]


def test_moves_that_were_deleted(store: Store, versions: list[Version]) -> None:
    made = [promoted(store, version) for version in versions[:2]]
    rolled_back(store)
    for each in made:
        store.client.delete_run(each.run_id)
    with pytest.raises(UserError, match="version 1"):
        former_champion(store, "m")


def test_a_champion_that_was_set_otherwise(store: Store, versions: list[Version]) -> None:
    with pytest.raises(UserError, match="m: has no champion; `arbiscale promote` makes one"):
        former_champion(store, "m")
    promoted(store, versions[0])
    store.client.set_registered_model_alias("m", "champion", "2")
    with pytest.raises(UserError, match=r"the champion \(version 2\) was not set by"):
        former_champion(store, "m")
    assert promoted(store, versions[2]).before == 2


def test_what_was_compared_with_another_champion_is_refused(store: Store, versions: list[Version]) -> None:
    promoted(store, versions[0])
    with pytest.raises(UserError, match="m: version 1 is champion now: it was moved meanwhile"):
        move(store, "promote", versions[1], None, "", {})
    assert champion(store, "m").number == 1
    assert len(moves.moves(store, "m")) == 1
    assert promoted(store, versions[1]).after == 2  # what failed keeps nobody from moving


def test_of_two_at_once_one_wins(
    store: Store, versions: list[Version], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have seen the same last move, and no champion."""
    barrier = threading.Barrier(2)
    last, met = moves._last, set()

    def at_once(store: Store, name: str) -> object:
        found = last(store, name)
        if threading.get_ident() not in met:
            met.add(threading.get_ident())
            barrier.wait(timeout=30)
        return found

    promoted(store, versions[0])
    before, ends = champion(store, "m"), []

    def attempt(version: Version) -> None:
        try:
            ends.append(move(store, "promote", version, before, "", {}).after)
        except UserError as error:
            ends.append(str(error))

    monkeypatch.setattr(moves, "_last", at_once)
    threads = [threading.Thread(target=attempt, args=[version]) for version in versions[1:3]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    won = [end for end in ends if isinstance(end, int)]
    told = [end for end in ends if isinstance(end, str)]
    assert (len(won), len(told)) == (1, 1)
    assert "was faster" in told[0]
    assert champion(store, "m").number == won[0]


def test_a_move_that_never_ended_keeps_others_waiting_for_a_while(
    store: Store, versions: list[Version], monkeypatch: pytest.MonkeyPatch
) -> None:
    promoted(store, versions[0])
    script = (
        "import os\nfrom arbiscale.tracking import moves\nfrom arbiscale.tracking.store import open_store\n"
        "from arbiscale.tracking.versions import find_version\n"
        "store = open_store()\nversion, before = (find_version(store, 'm', n) for n in '21')\n"
        "moves.champion = lambda *_: os._exit(9)\n"
        "moves.move(store, 'promote', version, before, '', {})\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 9
    with pytest.raises(UserError, match="was faster: version 2 was asked for"):
        promoted(store, versions[2])
    monkeypatch.setattr(moves, "_ABANDONED_SECONDS", 0)
    assert promoted(store, versions[2]).after == 3
