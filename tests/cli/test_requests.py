"""What may be asked for, and what is said of the rest."""

from pathlib import Path

import pytest

from arbiscale.cli import requests
from arbiscale.errors import UserError


@pytest.mark.parametrize(
    ("scale", "wanted"),
    [("2.7", (32, 54)), ("2.7X3", (32, 60)), (".5", (6, 10)), ("1e1", (120, 200)), ("+2", (24, 40))],
)
def test_scales(scale: str, wanted: tuple[int, int]) -> None:
    (target,) = requests.parse_targets([scale], [])
    assert target.of((12, 20)) == wanted


def test_a_size_does_not_depend_on_the_input() -> None:
    (target,) = requests.parse_targets([], ["480x641"])
    assert target.of((12, 20)) == (480, 641)


def test_several_targets_are_told_apart_and_kept_once() -> None:
    targets = requests.parse_targets(["2", "2.50", "2.5", "2x3", "2x2"], [])
    assert [target.label for target in targets] == ["x2", "x2.5", "x2x3"]
    assert [target.label for target in requests.parse_targets([], ["4x5"])] == ["4x5"]


@pytest.mark.parametrize(
    "scale",
    ["0", "-1", "nan", "inf", "1e999", "", "x", "2x", "x2", "2x0", "2x3x4", "2,5", "1_0", "two", "٣", " 2"],
)
def test_scales_that_are_none(scale: str) -> None:
    with pytest.raises(UserError, match="--scale: must be a factor above 0"):
        requests.parse_targets([scale], [])


@pytest.mark.parametrize(
    "size", ["0x5", "5x0", "5", "0x", "x0", "x", "-5x5", "5.0x5", "5x5x5", "05x5", "5 x 5", "", "٣x٣"]
)
def test_sizes_that_are_none(size: str) -> None:
    with pytest.raises(UserError, match="--size: must be HEIGHTxWIDTH"):
        requests.parse_targets([], [size])


@pytest.mark.parametrize(
    ("size", "label", "expected"),
    [("50x", "50x", (50, 75)), ("x50", "x50", (33, 50)), ("7x9", "7x9", (7, 9))],
)
def test_one_side_keeps_the_proportions(size: str, label: str, expected: tuple[int, int]) -> None:
    (target,) = requests.parse_targets([], [size])
    assert target.label == label
    assert target.of((20, 30)) == expected


def test_resolutions() -> None:
    assert requests.parse_dpi("keep") is None
    assert requests.parse_dpi("300") == 300
    for text in ("0", "-3", "x", "nan", "1e3", "70000"):
        with pytest.raises(UserError, match="--dpi: must be keep, or pixels an inch"):
            requests.parse_dpi(text)


def test_one_of_scale_and_size() -> None:
    for scales, sizes in (([], []), (["2"], ["5x5"])):
        with pytest.raises(UserError, match="give either --scale or --size"):
            requests.parse_targets(scales, sizes)


def test_absurd_sizes() -> None:
    with pytest.raises(UserError, match="are more than 17,179,869,184 pixels"):
        requests.parse_size("131073x131072")
    with pytest.raises(UserError, match="or than 1,048,576 a side"):
        requests.parse_size("1x1048577")
    for scale, said in (("1e9", "a side of more than 1,048,576"), ("0.02", "leaves nothing of 12x20")):
        (target,) = requests.parse_targets([scale], [])
        with pytest.raises(UserError, match=said):
            target.of((12, 20))
    assert requests.parse_size("131072x131072") == (131072, 131072)


@pytest.mark.parametrize("text", ["", "0.5", "0.5,", "1.1,0", "-0.1,0", "nan,0", "0,0,0", "a,b"])
def test_points(text: str) -> None:
    assert requests.parse_point("0,1") == (0, 1)
    assert requests.parse_point(".25,1e-1") == (0.25, 0.1)
    with pytest.raises(UserError, match="--at: must be Y,X"):
        requests.parse_point(text)


def test_devices() -> None:
    for device in ("auto", "cpu", "cuda", "cuda:1", "mps"):
        requests.check_device(device)
    for device in ("gpu", "cuda:", "cuda:x", "", "CPU"):
        with pytest.raises(UserError, match="--device: must be auto"):
            requests.check_device(device)


def test_places(tmp_path: Path) -> None:
    requests.check_place(tmp_path / "new" / "deep" / "out.png")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a folder; name the file"):
        requests.check_place(tmp_path)
    with pytest.raises(UserError, match="file: is not a folder"):
        requests.check_place(tmp_path / "file" / "out.png")


def test_a_place_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)  # the tests may run as root
    with pytest.raises(UserError, match="may not be written"):
        requests.check_place(tmp_path / "out.png")


def test_which_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    with pytest.raises(UserError, match=r"models/packed: no model there yet; run dvc repro"):
        requests.find_model(None)
    assert requests.find_model(None, shipped=True) == "pretrained"
    assert "drawing with the shipped one" in capsys.readouterr().err
    for name in ("align_samples", "packed"):  # the later one is preferred
        folder = tmp_path / "models" / name
        folder.mkdir(parents=True)
        (folder / "config.json").touch()
        assert requests.find_model(None, shipped=True) == requests.find_model(None) == str(folder)
    assert requests.find_model("pretrained") == "pretrained"
    assert capsys.readouterr().err == ""
    (tmp_path / "mlflow.db").touch()
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert requests.find_model("models:/arbiscale@champion") == "models:/arbiscale@champion"
    with pytest.raises(UserError, match="no model there"):
        requests.find_model(str(tmp_path))


def test_the_name_of_a_registered_model_is_looked_at() -> None:
    with pytest.raises(UserError, match="names no model"):
        requests.find_model("models:/")
