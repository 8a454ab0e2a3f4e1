"""The command that draws a picture again, from what its file says of its origin: redo."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from arbiscale.cli.options import Overwrite, Precision, memory_suffices, open_model
from arbiscale.cli.requests import check_place
from arbiscale.errors import UserError
from arbiscale.files import content_hash, sha256_of
from arbiscale.imaging.formats import DEEP_ZOOM
from arbiscale.imaging.picture_folders import find_pictures


def redo(
    picture: Annotated[Path, typer.Argument(metavar="FILE", help="A picture that arbiscale drew.")],
    output: Annotated[
        Path | None, typer.Argument(metavar="[OUTPUT]", help="Where it goes; otherwise it is only compared.")
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option("--input", help="What it was drawn of, or a folder that holds it; otherwise searched."),
    ] = None,
    model: Annotated[str | None, typer.Option(metavar="DIR", help="Otherwise found by its hash.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Draw a picture again by what its file says, and compare: on a CPU it is equal to the byte."""
    record = recorded(picture)
    if output is not None:
        check_place(output)
        if output.exists() and not overwrite:
            raise UserError(f"{output}: exists; give --overwrite or name another output")
    try:
        original = _find_input(picture, source, record) if "input" in record else None
        drawn = _redo(picture, original, record, model, output)
    except (KeyError, ValueError) as error:
        raise UserError(f"{picture}: what it says of its origin is damaged ({error})") from None
    print(drawn)


def _redo(
    picture: Path, original: Path | None, record: dict[str, str], model: str | None, output: Path | None
) -> str:
    """Draw, write and compare; what came of it, in a line."""
    from arbiscale.imaging.reading import read_picture
    from arbiscale.inference.origin import find_origin, find_recorded
    from arbiscale.inference.provenance import redraw

    where = model or find_recorded(record["model_sha256"])
    if find_origin(where).sha256 != record["model_sha256"]:
        raise UserError(f"{where}: is not the model that drew {picture} (another sha256)")
    precision, threads = Precision(record["precision"]), int(record.get("threads", 0))
    with memory_suffices(), tempfile.TemporaryDirectory() as folder:
        loaded = open_model(where, record["device"], precision, False, threads)
        drawn = output or Path(folder) / f"drawn{picture.suffix}"
        redraw(loaded, record, read_picture(original) if original else None, drawn)
        return f"{output or picture}: drawn again, {_compared(picture, drawn, record)}"


def recorded(picture: Path) -> dict[str, str]:
    """What a picture's file says of its origin.

    Raises:
        UserError: it is no picture, or says nothing.
    """
    from arbiscale.imaging.provenance import read_record
    from arbiscale.imaging.reading import read_metadata

    record = read_record(read_metadata(picture))
    if not record:
        raise UserError(
            f"{picture}: says nothing of its origin: it was drawn by something else, with --no-provenance, "
            "or changed since"
        )
    return record


def _find_input(picture: Path, given: Path | None, record: dict[str, str]) -> Path:
    """The file that a picture was drawn of: the one given, or in the folder given, or near."""
    name, wanted = record["input"], record["input_sha256"]
    if given is None:
        places = [folder / name for folder in (picture.parent, picture.parent.parent, Path())]
    elif given.is_dir():
        files = find_pictures(given).files
        places = sorted(files, key=lambda path: path.name != name)
    else:
        places = [given]
    for place in places:
        if place.is_file() and sha256_of(place) == wanted:
            return place
    raise UserError(f"{picture}: was drawn of {name} (sha256 {wanted[:12]}), which is not here; give --input")


def _contents(picture: Path) -> tuple[str, str]:
    """Hashes of a file, and of a Deep Zoom picture's tiles."""
    if picture.suffix != DEEP_ZOOM:
        return sha256_of(picture), ""
    from arbiscale.imaging.writing import tiles_of

    tiles = tiles_of(picture)
    return sha256_of(picture), content_hash(tiles) if tiles.is_dir() else ""


def _compared(before: Path, after: Path, record: dict[str, str]) -> str:
    """How two files differ."""
    import numpy as np

    from arbiscale.imaging.reading import read_picture

    if _contents(before) == _contents(after):
        return "equal to the byte"
    if before.suffix == DEEP_ZOOM:
        return "with other tiles"
    one, two = read_picture(before), read_picture(after)
    if one.colour.shape != two.colour.shape:
        return "of another size: the file was changed"
    levels = int(np.abs(one.colour.astype(np.int64) - two.colour).max())
    how = "equal pixels in another file" if not levels else f"pixels differ by at most {levels} levels"
    others = {
        name: f"{record[name]}, here {now[name]}"
        for now in [recorded(after)]
        for name in ("software", "torch", "device", "threads")
        if name in record and record[name] != now.get(name)
    }
    return how + "".join(f"; {name} {text}" for name, text in others.items())
