"""SVG elements as text; whatever stands in them is escaped."""

from __future__ import annotations

from markupsafe import Markup, escape


def element(name: str, *children: str, **attributes: str | float | None) -> Markup:
    """An element; attributes that are None are left out.

    In their names `_` stands for `-`, and one at the end for nothing. Numbers are written to a tenth.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_value(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    inside = Markup("").join(children)  # escapes what is not markup
    return Markup(f"<{name}{written}>{inside}</{name}>") if children else Markup(f"<{name}{written}/>")


def _value(value: str | float) -> str:
    """An attribute's value."""
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(escape(value))
