"""Where photographs come from.

A source is a module with one function that puts original files below a folder and says what they are::

    def fetch(settings: ItsSettings, folder: Path) -> list[Photograph]

To add one: write the module, give it a settings class in `arbiscale.config.data` (and its name to
`DataSettings.source`, its section to params.yaml), add its case to `fetch` below and its section to the
params of stage `download` in dvc.yaml. Later stages know a photograph's source only by
its record: scene, licence and fitness for testing.
"""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

from arbiscale.config.data import DataSettings
from arbiscale.data.manifest import PHOTOGRAPHS, Photograph, read_record, write_record
from arbiscale.data.sources import bundled, folder, s3
from arbiscale.files import atomic_folder


def fetch(settings: DataSettings, destination: Path) -> list[Photograph]:
    """Fill `destination` with the photographs of the chosen source and their `sources.json`.

    Raises:
        UserError: the source is missing, unreachable or empty; `destination` is then as it was.
    """
    with atomic_folder(destination) as temporary:
        photographs_folder = temporary / PHOTOGRAPHS
        photographs_folder.mkdir()
        match settings.source:
            case "bundled":
                photographs = bundled.fetch(photographs_folder)
            case "folder":
                photographs = folder.fetch(settings.folder, photographs_folder)
            case "s3":
                photographs = s3.fetch(settings.s3, photographs_folder)
            case other:
                assert_never(other)
        write_record(temporary, photographs)
    return read_record(destination)
