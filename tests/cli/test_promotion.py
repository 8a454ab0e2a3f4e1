"""Which versions become champion, on real pictures: the shipped model against untrained ones."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from arbiscale.config.data import CropSettings, FolderSettings, SplitSettings
from arbiscale.config.sampling import SamplingSettings
from arbiscale.data.crops import make_crops
from arbiscale.data.index import open_index
from arbiscale.data.scan import scan
from arbiscale.data.sources.folder import Folder
from arbiscale.evaluation.paired import FILES, read_scores
from arbiscale.models.folder import read_config, save_latent_diffusion
from arbiscale.pipeline.comparison import recorded
from arbiscale.tracking.moves import champion, moves
from arbiscale.tracking.registry import EVALUATION_TAG, ROW_TAG
from arbiscale.tracking.store import Store, open_store
from arbiscale.tracking.versions import find_version
from arbiscale.workspace import SHIPPED_MODEL
from tests.cli.running import run

ROOT = Path(__file__).parents[2]
SPLIT = SplitSettings(
    test=["a", "b", "c"],
    validation=["d"],
    test_fraction=0.0,
    validation_fraction=0.0,
    scene_pattern="^(.*)$",
    near_duplicate_bits=0,
    benchmarks=[],
)


def change(params: Path, **values: object) -> None:
    """Set values of params.yaml, by `section__key`."""
    yaml = YAML()
    content = yaml.load(params)
    for key, value in values.items():
        section, name = key.split("__")
        content[section][name] = value
    yaml.dump(content, params)


@pytest.fixture
def store(project: Path, photographs: Path) -> Store:
    """Of a repository with three test photographs, whose evaluation takes a second."""
    shutil.copy(ROOT / "params.yaml", project)
    change(
        project / "params.yaml",
        evaluate__scales=[2, 3],
        evaluate__crop_px=48,
        evaluate__crops_per_photograph=1,
        evaluate__perceptual=[],
        register__gate={"protocols": ["sample"], "gain": ["psnr=0"], "regression": ["ssim=0.01"]},
    )
    source = Folder(FolderSettings(path=str(photographs)))
    with open_index() as index:
        record, _ = scan(source, project / "data/raw", index, "code")
    crop = CropSettings(mode="random", size_px=32, per_photograph=2)
    make_crops(source, record, project / "data/crops", crop=crop, split=SPLIT, seed=0)
    return open_store()


@pytest.fixture
def register(store: Store, project: Path) -> Callable[[Path], int]:
    """Makes a model folder the next version."""

    def make(model: Path) -> int:
        packed = project / "models/packed"
        shutil.rmtree(packed, ignore_errors=True)
        shutil.copytree(model, packed)
        assert run("register") == 0
        return find_version(store, "arbiscale", "@challenger").number

    return make


@pytest.fixture
def untrained(save_model: Callable[..., Path]) -> Path:
    return save_model("super_resolution")


def test_from_an_empty_registry_to_a_champion_and_back(
    store: Store,
    register: Callable[[Path], int],
    untrained: Path,
    project: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("promote") == 2
    assert (
        "has no version challenger; versions: none; `arbiscale register` makes one" in capsys.readouterr().err
    )
    assert register(untrained) == 1
    assert run("promote") == 2  # worse than bicubic
    shown = capsys.readouterr()
    assert (
        "arbiscale: version 1 against bicubic, evaluated anew: nothing is recorded of version 1" in shown.out
    )
    assert "does not hold" in shown.out
    assert "version 1: is not promoted: ssim: worse than" in shown.err
    assert champion(store, "arbiscale") is None

    assert register(SHIPPED_MODEL) == 2
    assert run("promote") == 0  # better than bicubic
    shown = capsys.readouterr().out
    assert "version 2 is the champion now: gate: psnr better by" in shown
    assert champion(store, "arbiscale").number == 2

    assert run("promote", "1") == 2
    shown = capsys.readouterr()
    assert "version 1 against version 2, as recorded, measured alike" in shown.out
    assert run("promote", "1", "--force", "shows that the gate can be passed") == 0
    assert run("promote", "arbiscale/1") == 2
    assert "is the champion already" in capsys.readouterr().err
    assert [(move.before, move.after) for move in moves(store, "arbiscale")] == [(None, 2), (2, 1)]
    assert moves(store, "arbiscale")[1].why.startswith(
        "forced: shows that the gate can be passed (gate: ssim"
    )

    assert run("rollback", "--why", "it blurs") == 0
    assert "version 2 is the champion again, after version 1" in capsys.readouterr().out
    assert champion(store, "arbiscale").number == 2
    assert run("rollback") == 2
    assert "no champion before version 2" in capsys.readouterr().err


def test_both_are_evaluated_anew_where_the_evaluations_differ(
    store: Store,
    register: Callable[[Path], int],
    untrained: Path,
    project: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    register(SHIPPED_MODEL)
    assert run("promote") == 0
    first = find_version(store, "arbiscale", "1").tags[EVALUATION_TAG]
    change(project / "params.yaml", evaluate__scales=[2])
    register(untrained)
    assert run("promote") == 2
    assert "evaluated anew: nothing is recorded of version 2" in capsys.readouterr().out
    versions = [find_version(store, "arbiscale", number) for number in "12"]
    assert {version.tags[EVALUATION_TAG] for version in versions} != {first}
    assert [version.tags[ROW_TAG] for version in versions] == ["align_samples"] * 2
    store.client.set_model_version_tag("arbiscale", "1", EVALUATION_TAG, first)
    assert run("promote") == 2
    assert "evaluated anew: their evaluations differ in evaluate.scales" in capsys.readouterr().out


def test_both_are_evaluated_anew_where_a_metric_was_measured_of_one_alone(
    store: Store,
    register: Callable[[Path], int],
    untrained: Path,
    project: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As with weights that have been fetched since."""
    register(SHIPPED_MODEL)
    assert run("promote") == 0
    tags = find_version(store, "arbiscale", "1").tags
    first = store.client.get_run(tags[EVALUATION_TAG])
    file = store.download_artifact(first.info.run_id, FILES, project)
    read_scores(file).drop(columns="psnr").to_parquet(file)
    with store.run("evaluate", tags=first.data.tags, params=first.data.params) as second:
        second.log_artifact(file, Path(FILES).parent.name)
    register(untrained)
    for tag, value in ((EVALUATION_TAG, second.id), (ROW_TAG, tags[ROW_TAG])):
        store.client.set_model_version_tag("arbiscale", "2", tag, value)
    capsys.readouterr()
    assert run("promote") == 2
    shown = capsys.readouterr().out
    assert "evaluated anew: psnr: recorded of one of them alone" in shown
    assert "without a value" not in shown


def test_without_data_only_force_helps(
    store: Store,
    register: Callable[[Path], int],
    untrained: Path,
    project: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    register(untrained)
    shutil.rmtree(project / "data")
    assert run("promote") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "manifest.json: no such file" in line
    assert line.endswith("; --force REASON promotes without a comparison")
    assert run("promote", "--force", " ") == 2
    assert run("promote", "--force", "there is no other") == 0
    assert "not compared" in moves(store, "arbiscale")[0].why


def test_a_first_generator_has_nothing_to_be_compared_with(
    register: Callable[[Path], int], save_model: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    register(save_model("generation"))
    assert run("promote") == 2
    assert "there is no champion, and the evaluation has no row bicubic" in capsys.readouterr().err


def test_a_fine_tuned_model_must_beat_what_it_started_from(
    store: Store, register: Callable[[Path], int], project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Better than bicubic is no reason, where the shipped model is that too."""
    gate = {"protocols": ["sample"], "gain": ["psnr=0"], "regression": [], "against": "pretrained"}
    change(project / "params.yaml", register__gate=gate)
    register(SHIPPED_MODEL)
    assert run("promote") == 2
    assert "no row pretrained (register.gate.against); evaluate.extra_models adds" in capsys.readouterr().err
    change(project / "params.yaml", evaluate__extra_models=["pretrained=pretrained"])
    assert run("promote") == 2
    shown = capsys.readouterr()
    assert "version 1 against pretrained, evaluated anew: its evaluation has no row pretrained" in shown.out
    assert "is not promoted: psnr: no sure gain (register.gate.gain)" in shown.err
    change(project / "params.yaml", register__gate=gate | {"against": "bicubic"})
    assert run("promote") == 0


def test_each_version_draws_by_its_own_settings(
    store: Store,
    register: Callable[[Path], int],
    untrained: Path,
    make_model: Callable[..., object],
    tmp_path: Path,
) -> None:
    """What is registered is compared, not what params.yaml says of sampling."""
    config = read_config(untrained)
    sampling = SamplingSettings(steps=2, spacing="trailing", eta=1.0)
    save_latent_diffusion(
        tmp_path / "other", config.model_copy(update={"sampling": sampling}), make_model(config)
    )
    register(untrained)
    register(tmp_path / "other")
    assert run("promote", "1", "--force", "first") == 0
    run("promote", "2")
    found = [recorded(store, find_version(store, "arbiscale", number)) for number in "12"]
    psnr = [each.of(each.row).psnr.tolist() for each in found]
    assert psnr[0] != psnr[1]


def test_what_is_evaluated_anew_stands_at_the_version(
    store: Store, register: Callable[[Path], int], untrained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As after the pipeline's own evaluation: a run that says what it is, figures, card."""
    for model in (untrained, SHIPPED_MODEL):
        register(model)
    assert run("promote", "1", "--force", "first") == 0
    assert run("promote", "2") == 0
    runs = []
    for number in (1, 2):
        version = find_version(store, "arbiscale", str(number))
        measured = store.client.get_run(version.tags[EVALUATION_TAG])
        runs.append(measured.info.run_id)
        tags = measured.data.tags
        assert (tags["mlflow.runName"], tags["mlflow.source.name"]) == (
            f"evaluate · arbiscale {number}",
            "arbiscale promote",
        )
        assert tags["mlflow.user"]
        (data,) = measured.inputs.dataset_inputs
        logged = store.client.get_logged_model(version.model_id)
        now = [each for each in logged.metrics if each.run_id == measured.info.run_id]
        own = {key: value for key, value in measured.data.metrics.items() if "/align_samples/" in key}
        assert {each.key: each.value for each in now} == own
        assert own["x2/align_samples/psnr"] > 0
        assert {each.dataset_digest for each in now} == {data.dataset.digest}
        card = store.client.get_model_version("arbiscale", str(number)).description
        assert f"(run [{measured.info.run_id}](#" in card
        assert "| ×2 this |" in card
        figures = r"PSNR \d\d\.\d\d dB, Consistency \d\d\.\d\d dB"
        assert re.match(rf"{figures} at ×3 \(bicubic: {figures}\)\n\n# arbiscale", card)
        assert "Nothing is recorded." not in card
        assert "## Limits" in card
    capsys.readouterr()
    assert run("compare", *runs) == 0
    assert "evaluate · arbiscale 2" in capsys.readouterr().out
    promoted = store.client.get_run(moves(store, "arbiscale")[0].run_id)
    assert promoted.data.tags["mlflow.user"]
    assert promoted.data.tags["mlflow.source.name"] == "arbiscale promote"


def test_the_chosen_split_is_measured_anew(
    store: Store, register: Callable[[Path], int], project: Path
) -> None:
    change(project / "params.yaml", evaluate__crop_px=32, evaluate__split="validation")
    register(SHIPPED_MODEL)
    run("promote")  # one photograph decides nothing
    version = find_version(store, "arbiscale", "1")
    assert {*recorded(store, version).scores["photograph"]} == {"d"}
    tags = store.client.get_run(version.tags[EVALUATION_TAG]).data.tags
    assert tags["reported_on"].startswith("nothing: these figures, of the validation scenes")
