"""The page for people in a real browser: it shows what the model draws, and complains of nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from arbiscale.inference.model import Model

from .conftest import Client, pixels, png

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SECONDS = 60.0  # for a view, beside whatever else the machine does
DROP = """([bytes, name]) => {
    const data = new DataTransfer();
    data.items.add(new File([new Uint8Array(bytes)], name, {type: "image/png"}));
    document.dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true}));
}"""
COLOUR = """([x, y]) => {
    const canvas = document.getElementById("canvas");
    return [...canvas.getContext("2d").getImageData(x * canvas.width, y * canvas.height, 1, 1).data];
}"""
WHEEL = "canvas.dispatchEvent(new WheelEvent('wheel', {deltaY: -400, clientX: 250, clientY: 300}))"
PHOTO = np.random.default_rng(0).integers(60, 200, (30, 40, 3), dtype=np.uint8)
pytestmark = pytest.mark.xdist_group("browser")


@pytest.fixture
def opened(browser: Browser, serve: Callable[..., Client]) -> Iterator[Callable[..., Page]]:
    """Opens the page of a model; at the end, no complaints and nothing asked for elsewhere."""
    complaints: list[str] = []
    asked: list[str] = []
    contexts = []

    def open_page(model: Model, width_px: int = 800, **limits: object) -> Page:
        client = serve(model, page=True, **limits)
        contexts.append(
            browser.new_context(viewport={"width": width_px, "height": 600}, has_touch=width_px < 600)
        )
        page = contexts[-1].new_page()
        page.set_default_timeout(1000 * SECONDS)
        page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"http://127.0.0.1:{client.port}/")
        page.wait_for_selector("#model:not(:empty)", state="attached")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [line for line in complaints if "status of 4" not in line] == []
    assert [url for url in asked if not url.startswith(("http://127.0.0.1:", "blob:"))] == []


def drop(page: Page, picture: bytes, name: str = "photo.png") -> None:
    page.evaluate(DROP, [[*picture], name])
    page.wait_for_selector("body:not(.empty)")
    drawn(page)


def drawn(page: Page) -> float:
    """Wait until the view is drawn; the seconds that it took."""
    began = time.monotonic()
    page.wait_for_timeout(150)
    page.wait_for_selector("body[data-state=still]")
    assert page.locator("#error").is_hidden(), page.inner_text("#error")
    return time.monotonic() - began


def zoom(page: Page, scale: float) -> float:
    page.fill("#factor", f"{scale:g}")
    page.press("#factor", "Enter")
    return drawn(page)


def test_a_picture_is_dropped_and_zoomed_into(opened: Callable[..., Page], upscaler: Model) -> None:
    page = opened(upscaler)
    assert page.locator("#drop").is_visible()
    drop(page, png(PHOTO))
    assert page.inner_text("#name").split() == ["photo.png", "40", "×", "30"]
    seconds = [zoom(page, 64 ** (step / 9)) for step in range(10)]
    print("x1 to x64:", *(f"{each:.2f} s" for each in seconds))
    assert max(seconds) < SECONDS
    assert page.input_value("#factor") == "64"
    assert "2,560 × 1,920 px" in page.inner_text("#status")
    expected = upscaler.upscale(PHOTO, scale=64.0)
    stage = page.evaluate("[canvas.width, canvas.height]")
    for x, y in ((0.75, 0.5), (0.9, 0.2)):
        row, column = (int(1920 / 2 + (y - 0.5) * stage[1]), int(2560 / 2 + (x - 0.5) * stage[0]))
        shown = np.array(page.evaluate(COLOUR, [x, y])[:3])
        near = expected[row - 3 : row + 4, column - 3 : column + 4].reshape(-1, 3).astype(int)
        assert np.abs(near - shown).max(1).min() < 12


def test_the_slider_parts_two_drawings(opened: Callable[..., Page], upscaler: Model) -> None:
    page = opened(upscaler)
    drop(page, png(PHOTO))
    zoom(page, 8)
    split = page.locator("#split")
    split.focus()

    def colours() -> list[int]:
        return list(page.evaluate(COLOUR, [0.5, 0.4]))

    page.keyboard.press("End")
    left = colours()
    assert split.get_attribute("aria-valuenow") == "100"
    page.keyboard.press("Home")
    assert colours() != left
    page.select_option("#right select", "bicubic")
    drawn(page)
    assert colours() == left
    box = page.locator("#canvas").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 2, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 20, steps=3)
    page.mouse.up()
    assert split.get_attribute("aria-valuenow") == "25"


def test_wheel_keys_and_the_scale(opened: Callable[..., Page], upscaler: Model) -> None:
    page = opened(upscaler, 500)
    drop(page, png(PHOTO))
    page.focus("#canvas")
    page.keyboard.press("1")
    drawn(page)
    assert page.input_value("#factor") == "1"
    page.keyboard.press("+")
    page.keyboard.press("+")
    drawn(page)
    assert page.input_value("#factor") == "2"
    page.evaluate(WHEEL)
    drawn(page)
    assert float(page.input_value("#factor")) > 4
    page.evaluate("scale.value = 1; scale.dispatchEvent(new Event('input'))")
    drawn(page)
    assert page.input_value("#factor") == "64"
    assert page.evaluate("document.documentElement.scrollWidth") <= 500


def test_a_mistake_is_one_line_on_the_page(opened: Callable[..., Page], upscaler: Model) -> None:
    page = opened(upscaler)
    page.evaluate(DROP, [[1, 2, 3], "notes.txt"])
    page.wait_for_selector("#error:not([hidden])")
    assert page.inner_text("#error").startswith("the picture:")
    drop(page, png(PHOTO))


def test_a_forgotten_picture_is_sent_again(opened: Callable[..., Page], upscaler: Model) -> None:
    page = opened(upscaler, kept_px=30 * 40)
    drop(page, png(PHOTO))
    page.evaluate("body => fetch('/pictures', {method: 'POST', body: new Uint8Array(body)})", [*png()])
    zoom(page, 3)


def test_a_drawing_is_downloaded(opened: Callable[..., Page], upscaler: Model, tmp_path: Path) -> None:
    page = opened(upscaler)
    drop(page, png(PHOTO))
    page.click("#download")
    page.fill("#saving [name=scale]", "2.5")
    assert page.input_value("#saving [name=width]") == "100"
    with page.expect_download() as download:
        page.click("#saving [value=save]")
    assert download.value.suggested_filename == "photo-100x75.png"
    download.value.save_as(tmp_path / "drawn.png")
    found = pixels((tmp_path / "drawn.png").read_bytes())
    np.testing.assert_array_equal(found, upscaler.upscale(PHOTO, scale=2.5))


def test_enter_downloads_escape_and_cancel_do_not(opened: Callable[..., Page], upscaler: Model) -> None:
    page = opened(upscaler)
    found: list[object] = []
    page.on("download", lambda download: found.append(download))
    drop(page, png(PHOTO))

    def end(press: Callable[[], None]) -> int:
        page.click("#download")
        page.focus("#saving [name=width]")
        press()
        assert page.locator("#saving").is_hidden()
        page.wait_for_timeout(500)
        return len(found)

    assert end(lambda: page.keyboard.press("Enter")) == 1
    assert end(lambda: page.keyboard.press("Escape")) == 1
    assert end(lambda: page.click("#saving [name=cancel]")) == 1


def test_of_two_pictures_the_later_is_shown(opened: Callable[..., Page], upscaler: Model) -> None:
    page = opened(upscaler)
    slow = []
    page.route("**/pictures", lambda route: route.continue_() if slow else slow.append(route))
    page.evaluate(DROP, [[*png(PHOTO)], "first.png"])
    while not slow:
        page.wait_for_timeout(20)
    drop(page, png(), "second.png")
    slow[0].continue_()
    page.wait_for_timeout(500)
    drawn(page)
    assert page.inner_text("#name").split() == ["second.png", "12", "×", "9"]


def test_a_picture_is_no_use_to_what_generates(opened: Callable[..., Page], generator: Model) -> None:
    page = opened(generator)
    page.evaluate(DROP, [[*png()], "photo.png"])
    page.wait_for_selector("#error:not([hidden])")
    assert "height and a width" in page.inner_text("#error")
    assert page.locator("#generate").is_visible()


def test_generated_pictures_are_seen_likewise(opened: Callable[..., Page], generator: Model) -> None:
    page = opened(generator)
    page.fill("#generate [name=height]", "16")
    page.fill("#generate [name=width]", "24")
    page.click("#generate button")
    page.wait_for_selector("body:not(.empty)")
    drawn(page)
    zoom(page, 12)
    before = page.evaluate(COLOUR, [0.5, 0.5])
    page.fill("#right [name=seed]", "5")
    drawn(page)
    assert page.evaluate(COLOUR, [0.5, 0.5]) != before
