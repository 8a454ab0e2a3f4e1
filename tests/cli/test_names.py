"""Names of files: any bytes, any legal length, pipes, links and folders that may not be read."""

import io
import json
import os
import re
import sys
from pathlib import Path

import pytest
from PIL import Image

from arbiscale.cli.app import main
from arbiscale.imaging.reading import read_picture
from tests.cli.running import run


@pytest.fixture
def options(super_resolution_model: Path) -> list[str | Path]:
    return ["--scale", "2", "--steps", "1", "--model", super_resolution_model]


NAMES = {
    "no UTF-8": b"lat\xe4in.png",
    "a newline": b"new\nline.png",
    "brackets": b"cat [v2] [red].png",
    "the longest": b"l" * 251 + b".png",
    "82 characters of three bytes": "\u732b".encode() * 82 + b".png",
}


@pytest.mark.parametrize("name", list(NAMES.values()), ids=list(NAMES))
def test_any_name(
    tmp_path: Path, options: list[str | Path], monkeypatch: pytest.MonkeyPatch, name: bytes
) -> None:
    (tmp_path / "in").mkdir()
    Image.new("RGB", (6, 5), "red").save(tmp_path / "in" / os.fsdecode(name))
    told = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(told, encoding="ascii"))
    assert run("upscale", tmp_path / "in", tmp_path / "out", *options) == 0
    assert [os.fsencode(path.name) for path in (tmp_path / "out").iterdir()] == [name]
    sys.stdout.flush()
    assert told.getvalue().isascii()
    assert b"10x12 px" in told.getvalue()


def test_a_long_name_with_what_is_told_apart(tmp_path: Path, options: list[str | Path]) -> None:
    (tmp_path / "in").mkdir()
    Image.new("RGB", (6, 5)).save(tmp_path / "in" / ("l" * 251 + ".png"))
    assert run("upscale", tmp_path / "in", tmp_path / "out", *options, "--scale", "3.25") == 0
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["l" * 248 + "-x2.png", "l" * 245 + "-x3.25.png"] or len(names) == 2
    assert all(len(name) == 255 for name in names)


def test_a_name_that_is_too_long_is_one_line(
    tmp_path: Path, options: list[str | Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("upscale", tmp_path / ("c" * 300 + ".png"), tmp_path / "o.png", *options) == 2
    assert "File name too long; name another place" in capsys.readouterr().err


def test_several_inputs_and_a_folder_named_like_a_pattern(tmp_path: Path, options: list[str | Path]) -> None:
    folder = tmp_path / "dir [1]"
    (folder / "below").mkdir(parents=True)
    for name in ("a.png", "b.png", "below/c.png"):
        Image.new("RGB", (6, 5)).save(folder / name)
    assert run("upscale", folder / "a.png", folder / "below/c.png", tmp_path / "some", *options) == 0
    assert sorted(path.name for path in (tmp_path / "some").iterdir()) == ["a.png", "c.png"]
    assert run("upscale", folder / "**" / "*.png", tmp_path / "all", *options) == 0
    assert (tmp_path / "all/below/c.png").is_file()


def test_a_leading_dash_gets_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("upscale", "-x.png", "o.png", "--scale", "2") == 2
    assert "put -- before names that begin with -" in capsys.readouterr().err


def test_a_pipe_is_read_once(tmp_path: Path, options: list[str | Path]) -> None:
    stored = io.BytesIO()
    Image.new("RGB", (6, 5)).save(stored, "PNG")
    reading, writing = os.pipe()
    os.write(writing, stored.getvalue())
    os.close(writing)
    assert run("upscale", f"/dev/fd/{reading}", tmp_path / "o.png", *options) == 0
    os.close(reading)
    assert read_picture(tmp_path / "o.png").size == (10, 12)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["locked", "out"], "locked/inner: cannot be read (Permission denied)"),
        (["locked/inner/l.png", "o.png"], "locked/inner/l.png: "),
        (["free.png", "locked/inner/o.png"], "ermission"),
        (["locked/inner/*.png", "out"], "locked/inner/*.png: "),
    ],
)
def test_folders_that_may_not_be_read(
    tmp_path: Path,
    options: list[str | Path],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in (tmp_path, *list(tmp_path.parents)[:3]):
        if folder.stat().st_uid == os.getuid() and folder != Path("/tmp"):
            folder.chmod(0o777)
    (tmp_path / "locked/inner").mkdir(parents=True)
    Image.new("RGB", (6, 5)).save(tmp_path / "free.png")
    Image.new("RGB", (6, 5)).save(tmp_path / "locked/inner/l.png")
    (tmp_path / "locked/inner").chmod(0)
    heard, spoken = os.pipe()
    child = os.fork()
    if not child:  # rights can be given up once only
        if os.getuid() == 0:
            os.setuid(65534)
        os.dup2(spoken, 2)
        sys.stderr = io.TextIOWrapper(io.FileIO(2, "w"), write_through=True)
        try:
            main(["upscale", *arguments, *map(str, options)])
        except SystemExit as end:
            os._exit(int(end.code or 0))
        except BaseException as error:
            os.write(2, repr(error).encode())
        os._exit(99)
    os.close(spoken)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    message = os.read(heard, 10_000).decode()
    os.close(heard)
    (tmp_path / "locked/inner").chmod(0o755)
    assert said in message
    assert (code, message.count("\n")) == (2, 1)


def test_json_says_what_was_done_and_what_was_wrong(
    tmp_path: Path, options: list[str | Path], capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (6, 5)).save(tmp_path / "whole.jpg")
    (tmp_path / "a.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:-2])
    assert run("upscale", tmp_path / "a.jpg", tmp_path / "b.png", *options, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["size"], said["seed"], said["tiles"]) == ([10, 12], 0, 1)
    assert said["problems"] == ["its end marker is missing"]
    assert said["output"].endswith("b.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_the_resolution_is_kept_or_set(tmp_path: Path, options: list[str | Path], suffix: str) -> None:
    Image.new("RGB", (6, 5)).save(tmp_path / "a.png", dpi=(300, 300))
    for given, expected in (("keep", 300), ("150", 150)):
        output = tmp_path / f"{given}{suffix}"
        assert run("upscale", tmp_path / "a.png", output, *options, "--dpi", given) == 0
        resolution = read_picture(output).metadata.resolution
        assert resolution is not None
        assert [round(each * 25.4) for each in resolution] == [expected] * 2


def test_quality_and_deep_zoom(tmp_path: Path, options: list[str | Path]) -> None:
    Image.effect_noise((40, 30), 60).convert("RGB").save(tmp_path / "a.png")
    sizes = []
    for quality in ("20", "95"):
        assert (
            run("upscale", tmp_path / "a.png", tmp_path / f"{quality}.webp", *options, "--quality", quality)
            == 0
        )
        sizes.append((tmp_path / f"{quality}.webp").stat().st_size)
    assert sizes[0] < sizes[1] / 2
    assert run("upscale", tmp_path / "a.png", tmp_path / "z.dzi", *options) == 0
    assert 'Width="80"' in (tmp_path / "z.dzi").read_text()
    assert (tmp_path / "z_files/7/0_0.jpg").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "20.webp",
        "95.webp",
        "a.png",
        "z.dzi",
        "z_files",
    ]


def test_a_dry_run_says_what_it_would_take_and_writes_nothing(
    tmp_path: Path, options: list[str | Path], capsys: pytest.CaptureFixture[str]
) -> None:
    Image.effect_noise((120, 100), 60).convert("RGB").save(tmp_path / "a.png")
    assert run("upscale", tmp_path / "a.png", tmp_path / "b.png", *options, "--dry-run") == 0
    assert re.search(r"b\.png: 200x240 px, 1 tile, about \d+\.\d GiB and \d+ s$", capsys.readouterr().out)
    assert run("upscale", tmp_path / "a.png", tmp_path / "b.png", *options, "--dry-run", "--tile", "64") == 0
    assert re.search(r"b\.png: 200x240 px, [4-9] tiles", capsys.readouterr().out)
    assert not (tmp_path / "b.png").exists()


def test_a_second_run_in_place_knows_its_own_outputs(
    tmp_path: Path, options: list[str | Path], capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (6, 5)).save(tmp_path / "a.jpg")
    again = ["upscale", tmp_path, tmp_path, *options, "--format", "png", "--skip-existing"]
    assert run(*again) == 0
    assert read_picture(tmp_path / "a.png").size == (10, 12)
    assert run(*again) == 0
    assert read_picture(tmp_path / "a.png").size == (10, 12)
    assert "1 of 1 outputs exist and are skipped" in capsys.readouterr().out
