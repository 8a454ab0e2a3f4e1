"""A real browser, for the pages.

It is ARBISCALE_BROWSER, or the first Chromium or Chrome on the PATH. Where there is none its tests skip; with
ARBISCALE_REQUIRE_BROWSER=1 they fail instead.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
OFFLINE = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def browser_path() -> str | None:
    """The browser to test with, None if this machine has none."""
    return os.environ.get("ARBISCALE_BROWSER") or next(filter(None, map(shutil.which, NAMES)), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path, required = browser_path(), os.environ.get("ARBISCALE_REQUIRE_BROWSER") == "1"
    if path is None:
        reason = f"no browser here: none of {', '.join(NAMES)} on the PATH; ARBISCALE_BROWSER names one"
        pytest.fail(f"ARBISCALE_REQUIRE_BROWSER=1, but {reason}") if required else pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    sandbox = () if hasattr(os, "geteuid") and os.geteuid() else ("--no-sandbox",)  # root has none
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=[*OFFLINE, *sandbox], timeout=60_000)
        yield started
        started.close()
