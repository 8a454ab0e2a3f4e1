"""A matplotlib figure as an SVG element that a page with a strict content security policy may hold."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Of the light scheme, by variable: charts are drawn in them, and shown in whatever the variables are.
_CSS = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
COLOURS: dict[str, str] = dict(re.findall(r"--([\w-]+): (#\w+)", _CSS.partition("}")[0]))
_VARIABLES = {f"#{colour[1:] * (6 // len(colour[1:]))}": f"var(--{name})" for name, colour in COLOURS.items()}
_KEPT = {"fill", "opacity", "stroke", "stroke-dasharray", "stroke-linecap", "stroke-linejoin"}
_KEPT |= {"stroke-opacity", "stroke-width", "text-anchor"}


def inline_svg(figure: Figure, identity: str, title: str, description: str) -> Markup:
    """The figure as an `<svg>` element for HTML; the same for the same figure.

    Styles become attributes (the policy forbids inline styles), colours the page's variables,
    `gid`s tooltips. Metadata and what only matplotlib needs is left out.

    Args:
        figure: its colours are those of `COLOURS`, its texts are not outlines.
        identity: unique in the page.
        title: what the figure shows, for screen readers.
        description: the same in a sentence.
    """
    from matplotlib import rc_context

    stream = io.StringIO()
    with rc_context({"svg.hashsalt": identity}):
        figure.savefig(stream, format="svg", metadata={"Date": None})
    root = ElementTree.fromstring(stream.getvalue())
    for element in list(root.iter()):
        element.tag = element.tag.rpartition("}")[2]  # HTML knows SVG without namespaces
        for child in list(element):
            forms = child.findall("{*}path")  # of markers; other definitions are styles and clip paths
            if child.tag.endswith("metadata") or (child.tag.endswith("defs") and not forms):
                element.remove(child)
        _clean(element, identity)
    view = root.get("viewBox", "")
    root.attrib = {"class": "chart", "role": "img", "viewBox": view}
    names = {"title": title, "desc": description}
    root.set("aria-labelledby", " ".join(f"{identity}-{tag}" for tag in names))
    for place, (tag, text) in enumerate(names.items()):
        named = ElementTree.Element(tag, {"id": f"{identity}-{tag}"})
        named.text = text
        root.insert(place, named)
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _clean(element: ElementTree.Element, identity: str) -> None:
    """Replace an element's attributes by those that HTML and the policy allow."""
    old, element.attrib = dict(element.attrib), {}
    for name, value in old.items():
        plain = name.rpartition("}")[2]
        if plain in {"d", "x", "y", "transform", "viewBox"}:
            element.set(plain, re.sub(r"-?\d+\.\d+", lambda found: f"{float(found[0]):.1f}", value))
        elif plain == "href":
            element.set(plain, f"#{identity}-{value[1:]}")
        elif plain == "id" and re.fullmatch(r"m[0-9a-f]{10}", value):
            element.set(plain, f"{identity}-{value}")  # a marker's form
        elif plain == "id" and not re.fullmatch(r"[A-Za-z0-9.]+_\d+", value):  # not one of matplotlib's own
            tooltip = ElementTree.Element("title")
            tooltip.text = value
            element.insert(0, tooltip)
        elif plain == "style":
            styles = dict(part.strip().split(": ", 1) for part in value.split(";") if ": " in part)
            for key in sorted(styles.keys() & _KEPT):
                element.set(key, _VARIABLES.get(styles[key], styles[key]))
            if "700" in styles.get("font", "") or styles.get("font-weight") == "700":
                element.set("font-weight", "650")
    if element.tag == "text" and "fill" not in element.attrib:
        element.set("fill", "var(--ink)")
