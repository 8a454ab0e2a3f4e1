"""What identifies a stage's result: tracked parameters, data, models; and the fingerprint of all that."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arbiscale.config.section import Section, SectionType, flatten, look_up, read_yaml
from arbiscale.errors import UnavailableError
from arbiscale.files import content_hash, sha256_of_json
from arbiscale.workspace import find_folder

FORMAT = 2  # of a paused state; another one cannot be resumed
CODE = ("src", "stages")


@dataclass(frozen=True)
class StageInputs:
    """What a stage's result depends on.

    Attributes:
        parameters: the tracked ones, by dotted key.
        dependencies: data and models that it reads: sha256 by path.
        code: one hash of the scripts and rooms that it depends on. A paused training survives other code.
        initial_weights: model folders that a parameter `init_from` names: sha256 by the parameter's key.
            DVC does not watch them.
        optional_losses: whether each loss takes part that is left out where its network is missing.
    """

    parameters: dict[str, Any]
    dependencies: dict[str, str]
    code: str
    initial_weights: dict[str, str]
    optional_losses: dict[str, bool]

    @property
    def fingerprint(self) -> str:
        """One hash of all that a paused state must agree with to be resumed: everything but the code."""
        parts = {name: value for name, value in vars(self).items() if name != "code"}
        return sha256_of_json({"format": FORMAT, **parts})

    def flat_parameters(self) -> dict[str, Any]:
        """Every parameter by the dotted key of its leaf."""
        return flatten(self.parameters)

    @property
    def data_hash(self) -> str | None:
        """One hash of the dependencies under data/, None if there is none."""
        data = {path: digest for path, digest in self.dependencies.items() if Path(path).parts[0] == "data"}
        return sha256_of_json(data) if data else None


def stage_inputs(stage: str, weights_dir: str = "") -> StageInputs:
    """Read a stage's tracked parameters and dependencies, in the working directory.

    Args:
        stage: its name in dvc.yaml.
        weights_dir: where the networks of optional losses are looked for first.

    Raises:
        UserError: dvc.yaml or the stage, a tracked parameter or a dependency is missing.
    """
    parameters = tracked_parameters(stage)
    paths = _definition(stage).get("deps", [])
    code = [path for path in paths if Path(path).parts[0] in CODE]
    flat = flatten(parameters)
    named = {key: path for key, path in flat.items() if key.endswith("init_from") and path}
    return StageInputs(
        parameters,
        {path: content_hash(Path(path)) for path in paths if path not in code},
        sha256_of_json({path: content_hash(Path(path)) for path in code}),
        {key: content_hash(find_folder(path)) for key, path in named.items()},
        _optional_losses(flat, weights_dir),
    )


def tracked_parameters(stage: str, root: Path = Path()) -> dict[str, Any]:
    """The values in params.yaml that dvc.yaml lists for a stage, by dotted key.

    Raises:
        UserError: a file, the stage or a key is missing.
    """
    path = root / "params.yaml"
    values = read_yaml(path)
    return {key: look_up(values, key, path) for key in _definition(stage, root).get("params", [])}


def only_tracked(section: SectionType, key: str, tracked: dict[str, Any]) -> SectionType:
    """A section without the parameters that a stage does not track.

    Reading one of those is an AttributeError: DVC would not rerun the stage for a change of it.

    Args:
        section: as validated.
        key: its dotted key, such as `align`.
        tracked: parameters by dotted key.
    """
    if any(key == each or key.startswith(f"{each}.") for each in tracked):
        return section
    copy = section.model_copy()
    for name, value in section:
        inner = f"{key}.{name}"
        if isinstance(value, Section) and any(each.startswith(f"{inner}.") for each in tracked):
            copy.__dict__[name] = only_tracked(value, inner, tracked)
        elif inner not in tracked:
            del copy.__dict__[name]
    return copy


def definitions(root: Path = Path()) -> dict[str, dict[str, Any]]:
    """What dvc.yaml says of every stage; one of a group over a list in params.yaml is called as its item.

    Raises:
        UserError: a file is missing.
    """
    path = root / "dvc.yaml"
    stages: dict[str, dict[str, Any]] = {}
    for name, definition in look_up(read_yaml(path), "stages", path).items():
        items = _items(definition.get("foreach"), root / "params.yaml")
        if items is None:
            stages[name] = definition
            continue
        for item in items:
            stages[item] = json.loads(json.dumps(definition["do"]).replace("${item}", item))
    return stages


def _items(foreach: object, params_path: Path) -> list[str] | None:
    """The list in params.yaml that a group is over; None = it is no group, or of the user's own kind."""
    if not isinstance(foreach, str):
        return None
    found: Any = read_yaml(params_path)
    for part in foreach.removeprefix("${").removesuffix("}").split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return [*map(str, found)] if isinstance(found, list) else None


def _definition(stage: str, root: Path = Path()) -> dict[str, Any]:
    return dict(look_up({"stages": definitions(root)}, f"stages.{stage}", root / "dvc.yaml"))


def _optional_losses(parameters: dict[str, Any], weights_dir: str) -> dict[str, bool]:
    """Whether LPIPS takes part, and on which network: a training goes on without it where there is none."""
    weighted = {key.rpartition(".")[2] for key, value in parameters.items() if value}
    if not weighted & {"lpips_weight", "perceptual_weight"}:
        return {}
    from arbiscale.pretrained.files import ALEXNET, VGG16, locate, obtain

    if "perceptual_weight" in weighted and locate(VGG16, weights_dir):
        return {"lpips_vgg": True}
    try:
        obtain(ALEXNET, weights_dir)
    except UnavailableError:
        return {"lpips": False}
    return {"lpips": True}
