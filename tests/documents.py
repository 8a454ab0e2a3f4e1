"""Commands and files as the documents show them, so that tests run what people copy."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def block(document: str, heading: str, *, kind: str = "bash") -> str:
    """The one fenced block of a kind below a heading of a document, until the next heading."""
    text = (ROOT / document).read_text()
    _, found, rest = text.partition(f"\n{heading}\n")
    assert found, f"{document}: has no heading {heading!r}"
    section = re.split(
        r"^#+ ", re.sub(r"^```.*?^```", _hidden, rest, flags=re.M | re.S), maxsplit=1, flags=re.M
    )[0]
    (content,) = re.findall(rf"^```{kind}\n(.*?)^```", _shown(section), flags=re.M | re.S)
    return content


def _hidden(fenced: re.Match[str]) -> str:
    """A comment in a block is no heading."""
    return fenced[0].replace("#", "\0")


def _shown(text: str) -> str:
    return text.replace("\0", "#")
