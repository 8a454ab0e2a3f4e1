"""What an evaluation's pictures are drawn from, as files for another program to enlarge."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from arbiscale.config.evaluate import EvaluateSettings
from arbiscale.data.degradation import Degradation
from arbiscale.evaluation.held_out import HeldOutData
from arbiscale.evaluation.pairs import Preparation
from arbiscale.evaluation.plan import data_sets
from arbiscale.evaluation.protocols import PROTOCOLS
from arbiscale.imaging.pixels import to_array
from arbiscale.imaging.writing import write_image
from arbiscale.progress import LongTask


def write_inputs(
    data: HeldOutData,
    settings: EvaluateSettings,
    seed: int,
    folder: Path,
    degradation: Degradation | None = None,
) -> Iterator[str]:
    """Write every low resolution of the chosen protocols as `GROUP/NAME.png`.

    A row `folder:` reads what was made of them under the same names.

    Args:
        data: held-out photographs.
        settings: protocols, scales, folders.
        seed: of crops.
        folder: gains the pictures.
        degradation: of the protocol `realistic`.

    Yields:
        One line for every picture that is left out.

    Raises:
        UserError: a data set has no pictures, or the folder cannot be written.
    """
    for name, dataset, find in data_sets(data, settings, seed):
        if name not in settings.protocols:
            continue
        protocol, pictures = PROTOCOLS[name], find()
        groups = protocol.groups(dataset, protocol.scales or settings.scales)
        preparation = Preparation(protocol, pictures, [*groups.values()], degradation)
        with LongTask(name, len(pictures), "pictures") as task:
            for number, picture in enumerate(pictures):
                prepared = preparation[number]
                yield from prepared.problems
                for group, scale in groups.items():
                    if scale in prepared.pairs:
                        low = prepared.pairs[scale][1].float().div(127.5).sub(1)
                        write_image(folder / group / f"{picture.name}.png", to_array(low))
                task.advance(1)
