"""Where photographs come from: a module and a small class each.

To add one: write its `Source`, give it a settings class in `arbiscale.config.data` (and its name to
`DataSettings.source`, its section to params.yaml), add its case to `open_source` below and its section to
the params of the stages `list`, `download` and `crop` in dvc.yaml. Later stages know a photograph's source
only by its record: scene, licence and fitness for testing.
"""

from __future__ import annotations

from typing import assert_never

from arbiscale.config.data import DataSettings
from arbiscale.data.sources.bundled import Bundled
from arbiscale.data.sources.folder import Folder
from arbiscale.data.sources.s3 import Bucket
from arbiscale.data.sources.source import Source


def open_source(settings: DataSettings) -> Source:
    """The chosen source; nothing is looked at yet."""
    match settings.source:
        case "bundled":
            return Bundled()
        case "folder":
            return Folder(settings.folder)
        case "s3":
            return Bucket(settings.s3)
        case other:
            assert_never(other)
