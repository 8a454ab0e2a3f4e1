"""Pictures and archives for servers, and sources of the shipped parameters."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from arbiscale.config.data import DataSettings
from arbiscale.config.section import read_yaml
from arbiscale.data.sources import open_source
from arbiscale.data.sources.source import Source

VALUES = read_yaml(Path(__file__).parents[3] / "params.yaml")["data"]


def picture(seed: int, format: str = "PNG") -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, format)
    return file.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


def source(name: str, **sections: dict[str, Any]) -> Source:
    values = VALUES | {"source": name}
    return open_source(DataSettings.model_validate(values | {k: VALUES[k] | v for k, v in sections.items()}))
