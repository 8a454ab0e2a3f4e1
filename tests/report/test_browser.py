"""The page in a real browser: it loads nothing, says nothing on the console, and its slider moves."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from arbiscale.evaluation.scores import Evaluation

from .conftest import HOSTILE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.xdist_group("browser")


@pytest.fixture
def opened(
    browser: Browser,
    make_evaluation: Callable[..., Evaluation],
    draw: Callable[..., str],
    tmp_path: Path,
) -> Iterator[Callable[..., Page]]:
    """Opens a page from its file at some width; at the end, that it asked for nothing and was content."""
    asked: list[str] = []
    complaints: list[str] = []
    contexts = []

    def open_page(width_px: int = 1200, scheme: str = "light", named: str = "") -> Page:
        file = tmp_path / "evaluate.html"
        file.write_text(draw(make_evaluation(named=named)), encoding="utf-8")
        viewport = {"width": width_px, "height": 800}
        contexts.append(browser.new_context(viewport=viewport, color_scheme=scheme, has_touch=width_px < 600))
        page = contexts[-1].new_page()
        page.set_default_timeout(15_000)
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(file.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
    others = [url for url in asked if not url.startswith("data:")]
    assert others == [(tmp_path / "evaluate.html").as_uri()] * len(contexts)


def shown_share(page: Page) -> float:
    """How much of the left picture is shown, in per cent, as the browser clips it."""
    clip = page.locator("#over").evaluate("image => getComputedStyle(image).clipPath")
    hidden = re.fullmatch(r"inset\(0(?:px)? calc\(100% - ([\d.]+)%\) 0(?:px)? 0(?:px)?\)", clip)
    if hidden:
        return float(hidden[1])
    plain = re.fullmatch(r"inset\(0(?:px)? ([\d.]+)% 0(?:px)? 0(?:px)?\)", clip)
    assert plain, clip
    return 100 - float(plain[1])


def test_every_picture_loads(opened: Callable[..., Page]) -> None:
    page = opened()
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    broken = page.evaluate(
        """async () => {
            const images = [...document.images];
            await Promise.all(images.map(image => image.decode().catch(() => null)));
            return [images.length, images.filter(image => !(image.naturalWidth > 0)).length];
        }"""
    )
    assert broken[0] > 20
    assert broken[1] == 0


def test_the_slider_follows_the_mouse(opened: Callable[..., Page]) -> None:
    page = opened()
    stage = page.locator("#stage")
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    assert box is not None
    assert shown_share(page) == 50
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.5, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.2, middle, steps=4)
    assert shown_share(page) == pytest.approx(20, abs=1)
    page.mouse.move(box["x"] + box["width"] + 300, middle, steps=4)
    assert shown_share(page) == 100, "also outside of the picture, and no farther than its edge"
    page.mouse.up()
    page.mouse.move(box["x"] + box["width"] * 0.3, middle)
    assert shown_share(page) == 100, "not without the button"
    page.mouse.click(box["x"] + box["width"] * 0.3, middle)
    assert shown_share(page) == pytest.approx(30, abs=1)


def test_what_is_left_of_the_slider_is_the_left_picture(opened: Callable[..., Page]) -> None:
    page = opened()
    page.select_option("#left", "other_latent")
    page.select_option("#right", "ground truth")
    page.locator("#stage").scroll_into_view_if_needed()
    page.locator("#handle").focus()

    def colours() -> bytes:
        return bytes(page.locator("#stage").screenshot())

    page.keyboard.press("Home")
    right_only = colours()
    page.keyboard.press("End")
    left_only = colours()
    assert left_only != right_only
    page.select_option("#left", "ground truth")
    assert shown_share(page) == 100
    assert colours() != left_only
    page.keyboard.press("Home")


def test_the_slider_follows_the_keyboard(opened: Callable[..., Page]) -> None:
    page = opened()
    handle = page.locator("#handle")
    handle.focus()
    seen = []
    for key in ("ArrowRight", "Shift+ArrowRight", "ArrowLeft", "PageDown", "End", "ArrowRight", "Home"):
        page.keyboard.press(key)
        seen.append(shown_share(page))
        assert handle.get_attribute("aria-valuenow") == f"{seen[-1]:g}"
    assert seen == [51, 61, 60, 50, 100, 100, 0]


def test_the_slider_follows_a_finger(opened: Callable[..., Page]) -> None:
    page = opened(400)
    stage = page.locator("#stage")
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    assert box is not None
    page.touchscreen.tap(box["x"] + box["width"] * 0.75, box["y"] + box["height"] / 2)
    assert shown_share(page) == pytest.approx(75, abs=1.5)


def test_another_picture_and_other_rows_can_be_chosen(opened: Callable[..., Page]) -> None:
    page = opened()

    def sources() -> list[str]:
        return [str(page.locator(each).get_attribute("src")) for each in ("#over", "#under")]

    seen = [sources()]
    assert page.input_value("#left") == "bicubic"
    assert page.input_value("#right") == "diffusion"
    page.select_option("#left", "ground truth")
    seen.append(sources())
    assert seen[1][0] != seen[0][0]
    assert seen[1][1] == seen[0][1]
    page.select_option("#strip", "1")
    seen.append(sources())
    assert not {*seen[2]} & {*seen[1]}
    assert page.input_value("#left") == "ground truth", "rows stay as they were chosen"
    assert "PSNR" in page.inner_text("#right-numbers")
    sizes = page.evaluate(
        "['over', 'under'].map(each => { const box = document.getElementById(each).getBoundingClientRect();"
        " return [box.left, box.top, box.width, box.height] })"
    )
    assert sizes[0] == sizes[1]


def test_pictures_can_be_enlarged_pixel_by_pixel(opened: Callable[..., Page]) -> None:
    page = opened()
    page.select_option("#zoom", "4")
    width = page.locator("#stage").evaluate("stage => stage.getBoundingClientRect().width")
    assert width == 4 * 64
    rendering = "image => getComputedStyle(image).imageRendering"
    assert page.locator("#over").evaluate(rendering) == "pixelated"
    page.uncheck("#pixelated")
    assert page.locator("#over").evaluate(rendering) == "auto"


def test_a_strip_can_be_sent_to_the_slider(opened: Callable[..., Page]) -> None:
    page = opened()
    button = page.locator("#extremes button.to-slider").first
    identity = button.get_attribute("data-strip")
    button.click()
    chosen = page.evaluate("document.getElementById('strip').selectedOptions[0].parentElement.label")
    assert identity is not None
    assert identity.startswith("best-x2")
    assert chosen == "×2, best"
    rows = page.locator("#left option").all_inner_texts()
    assert rows == ["bicubic", "diffusion", "ground truth"]


def test_tables_are_sorted_within_their_groups(opened: Callable[..., Page]) -> None:
    page = opened()

    def rows(group: int) -> list[str]:
        return page.locator(f"table.sortable tbody >> nth={group} >> tr:not(.group) th").all_inner_texts()

    before = rows(0)
    assert before == ["bicubic", "autoencoder", "diffusion", "other latent"]
    page.locator("table.sortable thead button", has_text="PSNR").click()
    assert rows(0)[0] == "autoencoder"
    assert rows(0)[-1] == "other latent"
    assert {*rows(1)} == {*before}
    page.locator("table.sortable thead button", has_text="PSNR").click()
    assert rows(0)[0] == "other latent"
    page.locator("table.sortable thead button", has_text="row").click()
    assert rows(0) == before


@pytest.mark.parametrize("width_px", [400, 820, 1600])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_window(opened: Callable[..., Page], width_px: int, scheme: str) -> None:
    page = opened(width_px, scheme)
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width_px
    if width_px == 1600:  # where there is room, nothing scrolls sideways
        wider = (
            "[...document.querySelectorAll('.scroll')].filter(each => each.scrollWidth > each.clientWidth)"
        )
        assert page.evaluate(f"{wider}.length") == 0
    colours = page.evaluate(
        "[getComputedStyle(document.documentElement).backgroundColor, getComputedStyle(document.body).color]"
    )
    paper, ink = (sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in colours)
    assert (paper > ink) == (scheme == "light")


def test_hostile_names_do_nothing(opened: Callable[..., Page]) -> None:
    page = opened(named=HOSTILE)
    dialogs = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    assert HOSTILE in " ".join(page.locator("#strip option").all_inner_texts())
    page.select_option("#strip", "1")
    assert dialogs == []
    assert page.locator("img[src=x]").count() == 0
