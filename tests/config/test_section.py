"""Files of parameters: how numbers are read, which cannot be, and one section alone."""

import re
from pathlib import Path

import pytest

from arbiscale.config.align import AlignSettings
from arbiscale.config.params import load_params
from arbiscale.config.section import load_section
from arbiscale.errors import UserError

from .conftest import PARAMS


def test_numbers_are_read_as_in_yaml_1_2(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(re.sub(r"(?<=\nalign:\n  lr: )\S+", "1e-06", PARAMS.read_text()))
    assert load_params(path).align.lr == 1e-6


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must hold a mapping of sections"),
        ("- 1\n", "must hold a mapping of sections"),
        ("a: 1\n<<<<<<< HEAD\nb: 2\n=======\n", "holds a merge conflict of Git; resolve it"),
        ("a: [1\nb: 2\n", "is not valid YAML"),
        ("seed: 0\nseed: 1\n", "is not valid YAML"),
        ("\x00", "is not valid YAML"),
    ],
)
def test_broken_files(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=said) as error:
        load_params(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_missing_and_undecodable_files(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    with pytest.raises(UserError, match="no such file"):
        load_params(path)
    path.write_bytes(b"\xff\xfe\x00seed")
    with pytest.raises(UserError, match="is not UTF-8 text"):
        load_params(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(UserError, match="cannot be read"):
        load_params(path)


def test_a_stage_reads_its_own_section_only(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(PARAMS.read_text().replace("model_name: arbiscale", "model_name: 3"))
    assert load_section(path, "align", AlignSettings) == load_params(PARAMS).align
    with pytest.raises(UserError, match="aligned: is missing"):
        load_section(path, "aligned", AlignSettings)
