"""Texts from outside in Markdown: as a renderer shows them, they are the same texts."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from drs_provider.dag.docs import plan_page
from drs_provider.markdown import code, escape
from tests.dag.plans import loaded_plan, wave

RENDERER = MarkdownIt("gfm-like", {"linkify": False, "html": True})
HOSTILE = [
    "[click](https://evil.example)",
    "\\[click](https://evil.example)",
    "![x](https://evil.example/beacon.png)",
    "<img src=x onerror=alert(1)>",
    "`code` **bold** _it_ ~~gone~~",
    "a | b\n# heading\n- list",
    "&lt;b&gt; &#91;x](y)",
    "| --- |",
]


class Seen(HTMLParser):
    """The text of a page, and the tags that are in it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.tags = "", list[str]()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_stays_a_text(text: str) -> None:
    seen = Seen(RENDERER.render(f"x {escape(text)} y"))
    assert (seen.tags, seen.text.strip()) == (["p"], f"x {words(text)} y")
    cell = Seen(RENDERER.render(f"| a | b |\n| --- | --- |\n| x {escape(text)} | y |"))
    assert set(cell.tags) == {"table", "thead", "tbody", "tr", "th", "td"}
    assert cell.tags.count("td") == 2


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text())
def test_every_text_stays_a_text(text: str) -> None:
    assert Seen(RENDERER.render(f"x {escape(text)} y")).tags == ["p"]
    assert Seen(RENDERER.render(f"x {code(text)} y")).tags == ["p", "code"]


@pytest.mark.parametrize("text", ["a`b", "``", "a | b", "\\", "x\\"])
def test_code_ends_where_it_should(text: str) -> None:
    seen = Seen(RENDERER.render(f"| a | b |\n| --- | --- |\n| x {code(text)} | **y** |"))
    assert seen.tags.count("td") == 2
    assert seen.tags.count("code") == seen.tags.count("strong") == 1


def test_the_page_of_a_plan_takes_no_markup_from_it() -> None:
    text = "\\`[x](https://evil.example)<b>|"
    target = {"region": "us-west-2", "aws_conn_id": "a` [x](https://evil.example) `b"}
    seen = Seen(RENDERER.render(plan_page(loaded_plan(wave("web", description=text), description=text, target=target))))
    assert not {"a", "img", "b"} & set(seen.tags)
