"""What an evaluation consists of: the works of every protocol that its models can follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from arbiscale.config.evaluate import EvaluateSettings
from arbiscale.config.named import by_name
from arbiscale.config.sizes import parse_size, size_name
from arbiscale.data.degradation import Degradation
from arbiscale.errors import UnavailableError, UserError
from arbiscale.evaluation import patches, sets
from arbiscale.evaluation.generation import (
    PROTOCOL,
    Generation,
    Reconstruction,
    group_of_size,
)
from arbiscale.evaluation.held_out import (
    HeldOutData,
    HeldOutPicture,
    cut_held_out_crops,
    cut_random_crops,
    pictures_below,
)
from arbiscale.evaluation.nearest import TrainingCrops
from arbiscale.evaluation.networks import MetricNetworks
from arbiscale.evaluation.patches import Patches
from arbiscale.evaluation.peers import Peer
from arbiscale.evaluation.protocols import BENCHMARK, CROP_PX, CROPS, PROTOCOLS, REALISTIC, SAMPLE
from arbiscale.evaluation.references import References
from arbiscale.evaluation.rows import Upscalers
from arbiscale.evaluation.sets import Features, comparable_sizes, limits
from arbiscale.evaluation.store import Scratch, Work
from arbiscale.evaluation.super_resolution import SuperResolution
from arbiscale.evaluation.trade_off import TradeOff
from arbiscale.imaging.coordinates import Size
from arbiscale.imaging.proportions import in_groups
from arbiscale.inference.model import Model

_TASKS = {"super_resolution": "super-resolution", "generation": "generation"}  # in words


@dataclass(frozen=True)
class Subject:
    """What is evaluated, on what, and how.

    Attributes:
        models: the autoencoder first, then in the order of their training.
        data: held-out photographs, and training crops for the protocol `generation`.
        settings: protocols, scales, sizes, counts, folders.
        seed: of crops and noise.
        networks: behind metrics; columns of those unavailable are empty.
        extra: further models and peers, by the names of their rows; those of another task are left out.
        workers: processes that prepare pictures ahead; 0 = none. Results are the same.
        degradation: of the low resolutions of the protocol `realistic`.
    """

    models: Mapping[str, Model]
    data: HeldOutData
    settings: EvaluateSettings
    seed: int
    networks: MetricNetworks
    extra: Mapping[str, Model | Peer] = field(default_factory=dict)
    workers: int = 0
    degradation: Degradation | None = None

    @property
    def task(self) -> str:
        """Of the last model."""
        return [*self.models.values()][-1].task

    @property
    def rows(self) -> dict[str, Model]:
        """The models that are not autoencoders alone."""
        drawing = {name: model for name, model in self.models.items() if model.task == self.task}
        return drawing | self.extra_models

    @property
    def extra_models(self) -> dict[str, Model]:
        """The extra models that can be compared."""
        return {
            row: each
            for row, each in self.extra.items()
            if each.task == self.task and not isinstance(each, Peer)
        }

    @property
    def peers(self) -> dict[str, Peer]:
        """The peers that can be compared."""
        return {
            row: each for row, each in self.extra.items() if each.task == self.task and isinstance(each, Peer)
        }


@dataclass
class Plan:
    """The works of an evaluation, and what cannot be followed.

    Attributes:
        works: one a data set, or a row of generation.
        left_out: one line for everything that cannot be measured.
        sets: features of the rows that are compared as sets, with their size, by group and row.
        references: what those are compared with.
        patches: of rows of super-resolution; None = they are not compared.
        networks: behind metrics.
        seed: of random choices in comparing sets.
    """

    works: list[Work] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    sets: dict[tuple[str, str], tuple[Size, Features]] = field(default_factory=dict)
    references: References | None = None
    patches: Patches | None = None
    networks: MetricNetworks = field(default_factory=MetricNetworks)
    seed: int = 0


def make_plan(subject: Subject, scratch: Scratch) -> Plan:
    """The plan that follows from settings, models and data alone; what is drawn is kept in the scratch."""
    plan, protocols = Plan(networks=subject.networks, seed=subject.seed), subject.settings.protocols
    plan.left_out += subject.networks.unavailable
    for name, other in subject.extra.items():
        if other.task != subject.task:
            plan.left_out.append(f"row {name}: its model was not made for {_TASKS[subject.task]}")
    if subject.task == "generation":
        followed: set[str] = {SAMPLE.name, PROTOCOL}
        _add_generation(plan, subject, scratch)
    else:
        followed = {*PROTOCOLS}
        _add_super_resolution(plan, subject, scratch)
    plan.left_out += [_not_followed(name, subject.task) for name in protocols if name not in followed]
    return plan


def _add_super_resolution(plan: Plan, subject: Subject, scratch: Scratch) -> None:
    settings, inception = subject.settings, subject.networks.inception
    if settings.patch_fid_px and inception:
        plan.patches = Patches(scratch.features, settings.patch_fid_px, inception, subject.seed)
    samples = max(1, settings.diversity_seeds)
    upscalers = Upscalers(subject.models, subject.extra_models, subject.seed, samples)
    for protocol, dataset, find in data_sets(subject.data, settings, subject.seed):
        if protocol in settings.protocols and (pictures := _found(plan, find)):
            scales = PROTOCOLS[protocol].scales or settings.scales
            plan.works.append(
                SuperResolution(
                    PROTOCOLS[protocol], dataset, pictures, scales, upscalers, subject.networks,
                    scratch.album, subject.workers, subject.peers, subject.degradation, plan.patches,
                )
            )  # fmt: skip
    if not settings.trade_off.scales:
        return
    if subject.networks.perceptual.get("lpips") is None:
        plan.left_out.append("evaluate.trade_off: left out, as it needs lpips, which is not measured")
    elif pictures := _found(plan, partial(_crops, subject.data, settings)):
        networks, seed = subject.networks, subject.seed
        plan.works.append(
            TradeOff(subject.rows, pictures, settings.trade_off, seed, networks, subject.workers)
        )


def metrics_of_sets(settings: EvaluateSettings) -> tuple[str, ...]:
    """Those that need Inception."""
    of_patches = patches.METRICS if settings.patch_fid_px else ()
    return (sets.METRICS if PROTOCOL in settings.protocols else ()) + of_patches


def data_sets(
    data: HeldOutData, settings: EvaluateSettings, seed: int
) -> Iterator[tuple[str, str, Callable[[], Sequence[HeldOutPicture]]]]:
    """Every protocol's data sets: the protocol, what the set is called besides it, and its pictures."""
    folders, count = settings.folders, settings.crops_per_photograph
    yield SAMPLE.name, "", partial(_crops, data, settings)
    yield REALISTIC.name, "", partial(_crops, data, settings)
    yield CROPS.name, "", partial(cut_random_crops, data.photographs, CROP_PX, count, seed)
    for protocol in ("div2k", "faces"):
        folder = getattr(folders, protocol)
        yield protocol, "", partial(pictures_below, folder, f"evaluate.folders.{protocol}")
    for dataset, folder in by_name(folders.benchmark).items():
        key = f"evaluate.folders.benchmark: {dataset}"
        yield BENCHMARK.name, dataset, partial(pictures_below, folder, key)


def _add_generation(plan: Plan, subject: Subject, scratch: Scratch) -> None:
    settings, networks, album = subject.settings, subject.networks, scratch.album
    sizes, count = [parse_size(size) for size in settings.generation_sizes], settings.generation_count
    crops, references = subject.data.training_crops, None
    training = TrainingCrops(crops) if crops else None
    if PROTOCOL in settings.protocols and networks.inception:
        references = References(crops, networks.inception)
        plan.left_out += limits(references, {group_of_size(size): size for size in sizes}, count)
    if SAMPLE.name in settings.protocols and (
        held_out := _found(plan, partial(_crops, subject.data, settings))
    ):
        plan.works += [
            Reconstruction(row, model, held_out, networks, album, subject.workers)
            for row, model in subject.models.items()
            if model.task == "reconstruction"
        ]
    for row, model in subject.rows.items():
        features = {}
        if references:
            for size in comparable_sizes(references, sizes, count):
                own = scratch.features / row / size_name(size)
                features[size] = Features(own, count, references.inception, scratch.process)
                plan.sets[group_of_size(size), row] = size, features[size]
        groups = in_groups(sizes, crops)
        plan.works.append(Generation(row, model, groups, count, subject.seed, album, features, training))
    plan.references = references


def _crops(data: HeldOutData, settings: EvaluateSettings) -> list[HeldOutPicture]:
    return cut_held_out_crops(data.photographs, settings.crop_px, settings.crops_per_photograph)


def _found(plan: Plan, find: Callable[[], Sequence[HeldOutPicture]]) -> Sequence[HeldOutPicture]:
    """A data set's pictures; none where it cannot be measured, which the plan then says.

    Raises:
        UnavailableError: a web server cannot be reached: another time the same evaluation has the set.
    """
    try:
        return find()
    except UnavailableError:
        raise
    except UserError as error:
        if str(error) not in plan.left_out:
            plan.left_out.append(str(error))
        return []


def _not_followed(protocol: str, task: str) -> str:
    other = "super_resolution" if task == "generation" else "generation"
    return f"evaluate.protocols: {protocol}: needs models of {_TASKS[other]}; these are of {_TASKS[task]}"
