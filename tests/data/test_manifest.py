"""What a manifest says of its splits, and damaged ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from arbiscale.data.manifest import Manifest, Part, parts_of, read_manifest
from arbiscale.errors import UserError

PARTS = {
    "train": Part(18, 3, ["c.png", "d.png", "e.png"]),
    "validation": Part(6, 1, ["b.png"]),
    "test": Part(0, 1, ["a.png"]),
}


@pytest.mark.parametrize("longest", [4, 20_000])
def test_the_splits_stand_in_the_json(
    cut: Callable[..., Manifest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, longest: int
):
    monkeypatch.setattr("arbiscale.data.manifest.LONGEST_LIST", longest)
    cut()
    assert parts_of(json.loads((tmp_path / "crops/manifest.json").read_bytes())) == PARTS


def test_an_older_manifest_is_counted(cut: Callable[..., Manifest], tmp_path: Path):
    made = cut()
    path = tmp_path / "crops/manifest.json"
    values = json.loads(path.read_bytes())
    del values["parts"]
    assert parts_of(values) == PARTS
    path.write_text(json.dumps(values))
    assert read_manifest(tmp_path / "crops") == made


@pytest.mark.parametrize("content", ["[]", "{}", "damaged", '{"crops": {"count": 3}}'])
def test_what_is_no_manifest_is_refused(tmp_path: Path, content: str):
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(
        UserError, match=r"manifest\.json: cannot be read .*; run `dvc repro -f -s crop`"
    ) as caught:
        read_manifest(tmp_path)
    assert "\n" not in str(caught.value)
