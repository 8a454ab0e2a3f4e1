"""The page as text: well-formed, closed to the network, escaped, and whole whatever is missing."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from arbiscale.evaluation.generation import Generation
from arbiscale.evaluation.scores import Evaluation, OperatingPoint
from arbiscale.report.document import write_page
from arbiscale.report.facts import Facts
from tests.stand_ins import evaluated, scored

from .conftest import HOSTILE

VOID = {"meta", "img", "br", "input", "link", "hr"}
Draw = Callable[..., str]


class Page(HTMLParser):
    """A page's elements; refuses tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.embedded: dict[str, str] = {}  # what stands in style and script elements
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs), "an attribute twice"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in {"style", "script"}:
            identity = self.elements[-1][1].get("id") or self.open[-1]
            self.embedded[identity] = self.embedded.get(identity, "") + data
        else:
            self.words.append(data)

    @property
    def said(self) -> str:
        """All words, with single spaces."""
        return re.sub(r"\s+", " ", " ".join(self.words))

    def headings(self, level: str = "h2") -> list[str]:
        """The sections' identities, as far as they have some."""
        return [str(found["id"]) for tag, found in self.elements if tag == "section" and "id" in found]


@pytest.fixture
def page(make_evaluation: Callable[..., Evaluation], draw: Draw) -> Page:
    """Of two scales, with everything."""
    return Page(draw(make_evaluation()))


def test_everything_has_its_section(page: Page) -> None:
    assert page.headings() == [
        "table", "charts", "slider", "sheets", "extremes", "curves", "times", "parameters", "credits",
    ]  # fmt: skip
    links = {found["href"] for tag, found in page.elements if tag == "a"}
    assert {f"#{identity}" for identity in page.headings()} == links


def test_identities_are_unique(page: Page) -> None:
    identities = [found["id"] for _, found in page.elements if "id" in found]
    assert len(identities) == len({*identities})
    named = [found["aria-labelledby"] for _, found in page.elements if "aria-labelledby" in found]
    assert named
    assert {part for each in named for part in str(each).split()} <= {*identities}


def test_nothing_is_asked_of_a_network(make_evaluation: Callable[..., Evaluation], draw: Draw) -> None:
    text = draw(make_evaluation())
    without_pictures = re.sub(r"base64,[A-Za-z0-9+/=]+", "", text)
    assert not re.search(r"https?:|//[a-z]|url\(|@import|srcset|<link", without_pictures)
    page = Page(text)
    assert not [found for _, found in page.elements if "src" in found or "style" in found]
    assert not [name for _, found in page.elements for name in found if name.startswith("on")]


def test_the_policy_names_the_pages_own_style_and_script(page: Page) -> None:
    (policy,) = (str(found["content"]) for tag, found in page.elements if found.get("http-equiv") is not None)
    assert "default-src 'none'" in policy
    for kind in ("style", "script"):
        digest = hashlib.sha256(page.embedded[kind].encode()).digest()
        assert f"{kind}-src 'sha256-{base64.b64encode(digest).decode()}'" in policy


def test_the_same_evaluation_gives_the_same_page(
    make_evaluation: Callable[..., Evaluation], draw: Draw
) -> None:
    first, second = make_evaluation(), make_evaluation()
    second.scores.seconds = first.scores.seconds
    assert draw(first) == draw(second)


def test_where_it_comes_from_is_said(page: Page) -> None:
    wanted = ("0123456789abcdef", "autoencoder-run", "ffffffffff, with uncommitted changes", "d" * 16)
    wanted += ("validation scenes, 1: v", "test scenes, 1: a")
    assert [text for text in (*wanted, "2026-01-02 03:04 UTC", "1 min 15 s") if text not in page.said] == []
    assert "not recorded in runs/diffusion.json" in page.said
    assert "runs/diffusion.json does not name a run." in page.said
    assert "align.lr 1e-05" in page.said
    assert 'data.split.test ["a"]' in page.said


def test_names_are_shown_as_they_are(
    make_evaluation: Callable[..., Evaluation], draw: Draw, facts: Facts
) -> None:
    evaluation = make_evaluation(scales=(4,), named=HOSTILE)
    evaluation.left_out.append(HOSTILE)
    spoiled = dataclasses.replace(facts, credits={HOSTILE + "a": HOSTILE}, device=HOSTILE, run_id=HOSTILE)
    page = Page(draw(evaluation, spoiled))
    assert "img" not in {tag for tag, found in page.elements if found.get("src") == "x"}
    assert not [found for _, found in page.elements if "onerror" in found]
    assert page.said.count(re.sub(r"\s+", " ", HOSTILE)) >= 6
    assert "&49" not in page.said, "nothing is evaluated as a template"
    strips = json.loads(page.embedded["content"])["strips"]
    assert {strip["title"] for strip in strips} == {HOSTILE + "a", HOSTILE + "b"}


def test_rows_named_by_users_are_escaped(make_evaluation: Callable[..., Evaluation], draw: Draw) -> None:
    evaluation = make_evaluation(scales=(2, 4))
    drawn = evaluation.scores[evaluation.scores.row == "diffusion"]
    evaluation.scores = pd.concat([evaluation.scores, drawn.assign(row=HOSTILE, **{HOSTILE: 1.0})])
    page = Page(draw(evaluation))
    assert not [found for _, found in page.elements if "onerror" in found]


def test_every_picture_of_the_page_is_in_it(page: Page) -> None:
    content = json.loads(page.embedded["content"])
    shown = {str(found["data-picture"]) for tag, found in page.elements if tag == "img" and "id" not in found}
    offered = {tile["picture"] for strip in content["strips"] for tile in strip["tiles"]}
    assert shown == offered == content["pictures"].keys()
    assert all(uri.startswith("data:image/webp;base64,") for uri in content["pictures"].values())


def test_the_best_is_marked_among_contestants(make_evaluation: Callable[..., Evaluation], draw: Draw) -> None:
    text = draw(make_evaluation(scales=(4,), error=0.3))
    psnr = {
        row: "best" in cell
        for row, cell in re.findall(r'data-value="\d+">(\w[\w ]*)</th>\s*<td class="([^"]*)"', text)
    }
    assert psnr == {"bicubic": True, "autoencoder": False, "diffusion": False, "other latent": False}


def test_a_model_of_nothing_but_nan_leaves_the_rest(
    make_evaluation: Callable[..., Evaluation], draw: Draw
) -> None:
    page = Page(draw(make_evaluation(error=torch.nan)))
    assert "x4/diffusion: 4 of 4 pictures hold NaN or infinity" in page.said
    assert "extremes" not in page.headings()
    assert "sheets" in page.headings()


def test_one_scale_has_no_charts_against_it(make_evaluation: Callable[..., Evaluation], draw: Draw) -> None:
    page = Page(draw(make_evaluation(scales=(4,))))
    assert "charts" not in page.headings(), "LPIPS is not at hand here, either"
    assert "sheets" in page.headings()


def test_trade_off_curves_have_their_chart(
    make_evaluation: Callable[..., Evaluation], draw: Draw, points: list[OperatingPoint]
) -> None:
    evaluation = make_evaluation(scales=(4,))
    evaluation.trade_off = points
    page = Page(draw(evaluation))
    assert "charts" in page.headings()
    assert "LPIPS against PSNR over settings better towards the upper right" in page.said
    assert "diffusion, eta 1" in page.said
    assert (
        len([found for tag, found in page.elements if found.get("class") == "chart"]) == 4
    )  # and curves, times


def test_generation_has_a_page(stand_in: Callable[..., Any], draw: Draw, facts: Facts) -> None:
    model, sizes = stand_in("generation"), [(64, 64), (48, 80)]
    evaluation = evaluated(lambda album: Generation("align_samples", model, [sizes], 3, 0, album))
    page = Page(draw(evaluation, facts, "align_samples"))
    assert "align samples" in page.said
    assert "SelfSSIM" in page.said
    strips = json.loads(page.embedded["content"])["strips"]
    generated = next(strip for strip in strips if strip["group"] == "generation/align samples")
    assert [(tile["width"], tile["height"]) for tile in generated["tiles"]] == [(64, 64), (80, 48)]


def test_scores_without_pictures_have_a_page(draw: Draw, facts: Facts) -> None:
    evaluation = scored({"x4": {"bicubic": {"psnr": [20.0]}}})
    bare = dataclasses.replace(facts, tags={}, upstream=[], trainings=[], credits={}, parameters={})
    page = Page(draw(evaluation, bare))
    assert page.headings() == ["table", "curves", "times", "parameters"]
    assert "unknown" in page.said


def test_the_page_is_written_whole(
    make_evaluation: Callable[..., Evaluation], draw: Draw, facts: Facts, tmp_path: Path
) -> None:
    evaluation = make_evaluation()
    write_page(tmp_path / "evaluate.html", evaluation, [], facts, "diffusion")
    text = (tmp_path / "evaluate.html").read_text(encoding="utf-8")
    assert text.rstrip().endswith("</html>")
    assert [path.name for path in tmp_path.iterdir()] == ["evaluate.html"]
