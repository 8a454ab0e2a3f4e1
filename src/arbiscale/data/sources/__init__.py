"""Where photographs come from: a module and a small class each.

A published data set of archives is a row of `published`, and a name in `arbiscale.config.data.PublishedName`.
To add another source: write its `Source`, give it a settings class in `arbiscale.config.data` (and its name
to `DataSettings.source`, its section to params.yaml), add its case to `open_source` below and its section
to the params of the stages `list`, `download` and `crop` in dvc.yaml. Later stages know a photograph's source
only by its record: scene, licence, split and fitness for testing.
"""

from __future__ import annotations

from pathlib import Path

from arbiscale.config.data import DataSettings
from arbiscale.data.sources.archives import is_archive
from arbiscale.data.sources.bundled import Bundled
from arbiscale.data.sources.folder import Folder
from arbiscale.data.sources.local_archive import LocalArchive
from arbiscale.data.sources.s3 import Bucket
from arbiscale.data.sources.source import Source
from arbiscale.workspace import repository_root


def open_source(settings: DataSettings) -> Source:
    """The chosen source; nothing is looked at yet."""
    # Late imports, of clients that take longer to load than a folder to list.
    match settings.source:
        case "bundled":
            return Bundled()
        case "folder":
            path = repository_root() / Path(settings.folder.path).expanduser()
            if path.is_file() and is_archive(path.name):
                return LocalArchive(path)
            return Folder(settings.folder)
        case "s3":
            return Bucket(settings.s3)
        case "urls":
            from arbiscale.data.sources.urls import Urls

            return Urls(settings.urls, settings.downloads)
        case "hub":
            from arbiscale.data.sources.hub import Hub

            return Hub(settings.hub, settings.downloads)
        case published:
            from arbiscale.data.sources.published import Published

            return Published(published, settings.downloads)
