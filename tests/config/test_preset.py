"""Presets change what they say, keep the rest of params.yaml to the byte, and lead back to the sample."""

import re
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML

from arbiscale.config.params import load_params
from arbiscale.config.preset import (
    SHIPPED,
    Change,
    apply_preset,
    find_preset,
    list_presets,
    preset_values,
    preview_preset,
)
from arbiscale.config.section import flatten, read_yaml
from arbiscale.errors import UserError

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "params.yaml").read_text()
NAMES = sorted(list_presets())


@pytest.fixture
def params(tmp_path: Path) -> Path:
    """A copy of the shipped params.yaml."""
    path = tmp_path / "params.yaml"
    path.write_text(TEXT)
    return path


def preset(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    return path


def test_presets_are_described() -> None:
    assert {"sample", "sample-generation", "smoke"} <= set(NAMES)
    assert all(list_presets().values())


def test_what_is_no_preset_hides_none(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"# caf\xe9\n")
    (tmp_path / "folder.yaml").mkdir()
    assert list_presets(tmp_path) == list_presets() | {"latin": "caf\ufffd"}
    with pytest.raises(UserError, match=r"preset 'folder': does not exist"):
        find_preset("folder", tmp_path)


def test_params_are_shipped_as_the_sample(params: Path) -> None:
    assert apply_preset(params, SHIPPED / "sample.yaml") == []
    assert params.read_text() == TEXT


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_is_valid_and_sample_leads_back(params: Path, name: str) -> None:
    before = flatten(read_yaml(params))
    overrides = flatten(preset_values(SHIPPED / f"{name}.yaml"))
    preview = preview_preset(params, SHIPPED / f"{name}.yaml")
    assert params.read_text() == TEXT
    changes = apply_preset(params, SHIPPED / f"{name}.yaml")
    assert load_params(params) == preview
    after = flatten(read_yaml(params))
    assert after == before | overrides
    assert changes == [Change(key, before[key], after[key]) for key in after if before[key] != after[key]]
    assert len(params.read_text().splitlines()) == len(TEXT.splitlines())
    assert [line.partition("#")[2] for line in params.read_text().splitlines()] == [
        line.partition("#")[2] for line in TEXT.splitlines()
    ]
    apply_preset(params, SHIPPED / "sample.yaml")
    assert params.read_text() == TEXT


def test_sample_covers_every_other_preset() -> None:
    covered = set(flatten(read_yaml(SHIPPED / "sample.yaml")))
    for name in NAMES:
        assert set(flatten(preset_values(SHIPPED / f"{name}.yaml"))) <= covered, name


@pytest.mark.parametrize("name", [name for name in NAMES if name != "smoke"])
def test_a_preset_means_the_same_wherever_it_is_applied(params: Path, name: str) -> None:
    apply_preset(params, SHIPPED / f"{name}.yaml")
    fresh = params.read_text()
    for before in ("lsun-tower", "sample-generation", "smoke"):
        apply_preset(params, SHIPPED / f"{before}.yaml")
    apply_preset(params, SHIPPED / f"{name}.yaml")
    assert flatten(read_yaml(params)) == flatten(YAML(typ="safe", pure=True).load(fresh))


def test_generation_has_a_smoke_test(params: Path) -> None:
    apply_preset(params, SHIPPED / "sample-generation.yaml")
    apply_preset(params, SHIPPED / "smoke.yaml")
    loaded = load_params(params)
    assert (loaded.diffusion.task, loaded.data.augmentation.crop_px) == ("generation", 32)
    apply_preset(params, SHIPPED / "sample.yaml")
    assert params.read_text() == TEXT


def test_what_is_printed(params: Path, tmp_path: Path) -> None:
    shipped = read_yaml(params)
    own = preset(
        tmp_path, "align: {lr: 1e-5}\nevaluate:\n  scales: [3]\ndata:\n  s3: {endpoint_url: http://a}\n"
    )
    assert [str(change) for change in apply_preset(params, own)] == [
        "data.s3.endpoint_url: null -> http://a",
        f"align.lr: {shipped['align']['lr']} -> 1e-05",
        f"evaluate.scales: {shipped['evaluate']['scales']} -> [3]",
    ]
    assert "\n  lr: 1e-5                      # published configurations: 1e-6\n" in params.read_text()


def test_the_users_own_comments_and_lists_stay(params: Path, tmp_path: Path) -> None:
    text = re.sub(
        r"\n  scales: .*\n", "\n  # mine\n  scales:        # many\n  - 2.7          # odd\n  - 4\n", TEXT
    )
    params.write_text(text)
    apply_preset(params, preset(tmp_path, "register: {model_name: x}\n"))
    assert params.read_text() == text.replace("model_name: arbiscale", "model_name: x")
    apply_preset(params, preset(tmp_path, "evaluate: {scales: [3, 5]}\n"))
    assert load_params(params).evaluate.scales == [3, 5]
    assert "# mine" in params.read_text()


@pytest.mark.parametrize("name", ["div2k", "sample-generation"])  # which empty lists
def test_presets_are_applied_to_what_dvc_has_rewritten(params: Path, name: str) -> None:
    """`dvc exp run -S` writes every list as lines of items, with its comment above them."""
    expected = preview_preset(params, find_preset(name))
    apply_preset(params, find_preset("smoke"))
    apply_overrides(params, ["align.lr=1e-6"])
    assert "    - flower\n" in params.read_text()
    apply_preset(params, find_preset(name))
    assert load_params(params) == expected
    assert params.read_text().count("# they choose parameters; test photographs report") == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("align: {latent_weigth: 2}", "align.latent_weigth: unknown key; did you mean latent_weight?"),
        ("bogus: 1", "bogus: unknown key; known keys: seed, data, "),
        ("align: {timesteps: 5}", "align.timesteps: must be a section (got 5)"),
        ("align: {lr: {a: 1}}", "align.lr: must be a value"),
        ("align: {lr: 7}", "align.lr: must be a number, above 0 and at most 1 (got 7)"),
        ("align: {lr: null}", "align.lr: must be a number, above 0 and at most 1 (got None)"),
        ("data: {factor: 2}", "data.factor must be a multiple of the encoder"),
        ("- 1", "must hold a mapping of sections"),
        ("a: [", "is not valid YAML"),
    ],
)
def test_a_wrong_preset_changes_nothing(params: Path, tmp_path: Path, text: str, said: str) -> None:
    own = preset(tmp_path, text)
    with pytest.raises(UserError) as error:
        apply_preset(params, own)
    assert said in str(error.value)
    assert str(own) in str(error.value)
    assert params.read_text() == TEXT
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own.yaml", "params.yaml"]


def test_a_preset_covers_those_it_extends(params: Path, tmp_path: Path) -> None:
    (tmp_path / "first.yaml").write_text("align: {lr: 1e-5, decoder_lr: 1e-5}\nevaluate: {scales: [3]}\n")
    (tmp_path / "second.yaml").write_text("extends: first\nalign: {lr: 2e-5}\n")
    own = preset(tmp_path, "extends: second\nevaluate: {scales: [5, 6]}\n")
    values = {"align": {"lr": 2e-5, "decoder_lr": 1e-5}, "evaluate": {"scales": [5, 6]}}
    assert preset_values(own) == values
    assert [(change.key, change.new) for change in apply_preset(params, own)] == list(flatten(values).items())
    assert "extends" not in params.read_text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("extends: frist", "own.yaml: extends: preset 'frist': does not exist; did you mean first?"),
        ("extends: [first]", "own.yaml: extends: preset \"['first']\": does not exist"),
        ("extends: own", "own.yaml: extends: leads back to itself (own -> own)"),
        ("extends: second", "second.yaml: extends: leads back to itself (own -> second -> own)"),
        ("extends: broken", "broken.yaml: align.latent_weigth: unknown key; did you mean latent_weight?"),
    ],
)
def test_what_a_preset_cannot_extend(params: Path, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "first.yaml").write_text("align: {lr: 1e-5}\n")
    (tmp_path / "second.yaml").write_text("extends: own\n")
    (tmp_path / "broken.yaml").write_text("align: {latent_weigth: 1.0}\n")
    with pytest.raises(UserError) as error:
        apply_preset(params, preset(tmp_path, text))
    assert said in str(error.value)
    assert params.read_text() == TEXT


def test_unknown_presets(tmp_path: Path) -> None:
    assert find_preset("smoke", tmp_path / "missing") == SHIPPED / "smoke.yaml"
    with pytest.raises(UserError, match=r"preset 'smok': does not exist; did you mean smoke\?"):
        find_preset("smok")
    with pytest.raises(UserError, match="does not exist"):
        find_preset("../params", tmp_path)
