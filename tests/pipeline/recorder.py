"""Notes which parameters a stage under test reads.

Copied as sitecustomize.py to where a stage's Python looks first, it starts with every process.
"""

import atexit
import json
import os
import sys
from pathlib import Path


def record(script: Path, folder: Path) -> None:
    """Watch this process from now on; at its end add what it read to folder/STAGE.json."""
    from pydantic import BaseModel

    from arbiscale.config import section

    keys: dict[int, str] = {}  # of the loaded sections, by identity
    kept: list[BaseModel] = []  # so that no identity is used twice
    read: set[str] = set()
    load, get, dump = section.load_section, BaseModel.__getattribute__, BaseModel.model_dump

    def name_sections(value: object, key: str) -> None:
        if isinstance(value, section.Section):
            keys[id(value)] = key
            kept.append(value)
            for name, inner in vars(value).items():
                name_sections(inner, f"{key}.{name}")

    def load_section(path, key, kind):
        loaded = load(path, key, kind)
        name_sections(loaded, key)
        return loaded

    def read_attribute(self, name):
        value = get(self, name)
        if id(self) in keys and name in type(self).model_fields and not isinstance(value, section.Section):
            read.add(f"{keys[id(self)]}.{name}")
        return value

    def read_all(value: object) -> None:
        if isinstance(value, section.Section):
            for name in type(value).model_fields:
                read_all(getattr(value, name))

    def dump_and_read(self, **options):
        read_all(self)
        return dump(self, **options)

    def write() -> None:
        note = folder / f"{script.stem}.json"
        before = json.loads(note.read_text()) if note.is_file() else []
        note.write_text(json.dumps(sorted(read | {*before})))

    section.load_section = load_section
    section.Section.__getattribute__ = read_attribute
    section.Section.model_dump = dump_and_read
    atexit.register(write)


_script, _folder = Path(sys.orig_argv[-1]), os.environ.get("RECORDED_STAGES")
if _folder and _script.parent.name == "stages":
    record(_script, Path(_folder))
