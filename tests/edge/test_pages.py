"""The edge's own pages: complete in every language, small, and as strict as they claim."""

import hashlib
import re
from base64 import b64encode

import pytest

from control_plane.kit.text import LOCALES, has_translation
from control_plane.ports.edge.pages import PAGES, Page, headers_of, render

EACH_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@EACH_PAGE
def test_a_page_speaks_every_language(page: Page) -> None:
    for locale in LOCALES:
        for words in (page.title, page.text, page.mend):
            assert has_translation(words, locale), (locale, words)
    html = render(page, "an-id")
    assert re.findall(r'<section lang="(\w+)" dir="(\w+)">', html) == [
        ("ar", "rtl"),
        ("en", "ltr"),
    ]
    assert "an-id" in html


@EACH_PAGE
def test_a_pages_policy_allows_its_own_style_and_nothing_else(page: Page) -> None:
    style = re.search(r"<style>(.*?)</style>", render(page, "x"))
    assert style
    digest = b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = headers_of(page)["content-security-policy"]
    assert f"style-src 'sha256-{digest}'" in policy
    assert "'unsafe" not in policy
    assert "style=" not in render(page, "x").replace(style[0], "")


@EACH_PAGE
def test_a_page_survives_the_proxys_squeezing_of_blanks(page: Page) -> None:
    html = render(page, "x")
    assert not re.search(r"\s\s|\n", html)
    assert len(html.encode()) < 8_192  # half of haproxy's buffer
