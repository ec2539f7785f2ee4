"""The pages of the edge itself: small, self-contained, in every language, the default first.

Each says what happened and what its reader can do. Texts come from the catalogue; the look takes
its tokens from the console's.
"""

import hashlib
from base64 import b64encode
from dataclasses import dataclass
from html import escape

from control_plane.kit.text import LOCALES, translate
from control_plane.ports.edge.port import RouteState

_RIGHT_TO_LEFT = frozenset({"ar", "ckb"})


@dataclass(frozen=True, slots=True)
class Page:
    """One page; `waits` colours it for something that passes by itself."""

    name: str
    status: int
    title: str
    text: str
    mend: str
    waits: bool = False
    retry_after_s: int | None = None


UNKNOWN = Page(
    "unknown",
    404,
    "There is no site at this address",
    "The address may be mistyped, or the site may have moved or ended.",
    "Check the address, or go to the home page of the institution you are looking for.",
)
BUILDING = Page(
    "building",
    503,
    "This site is being prepared",
    "It is being set up now, which usually takes a few minutes.",
    "Open this page again in a few minutes.",
    waits=True,
    retry_after_s=30,
)
SUSPENDED = Page(
    "suspended",
    503,
    "This site is suspended for now",
    "Its content is kept safe, but it is not shown at present.",
    "If you need its service, contact the institution that runs it. If you look after this site,"
    " the console shows the reason and how to bring it back.",
)
FAILED = Page(
    "failed",
    503,
    "This site is not available right now",
    "Something went wrong on our side, and the site is not shown until it is mended.",
    "Please try again later. If you look after this site, the console shows what happened and"
    " what to do next.",
)
UNREACHABLE = Page(
    "unreachable",
    502,
    "This site did not answer",
    "The address is right, but the site's server did not answer in time.",
    "Try again in a minute. If it stays so, contact the institution that runs the site.",
    waits=True,
)
MALFORMED = Page(
    "malformed",
    400,
    "This request could not be understood",
    "What the browser or program sent is not a complete and valid request.",
    "Reload the page, or type the address again.",
)
MISDIRECTED = Page(
    "misdirected",
    421,
    "This connection belongs to another site",
    "The connection was opened for one site and asked for a different one.",
    "Reload the page: your browser then opens a new connection.",
)
PAGES = (UNKNOWN, BUILDING, SUSPENDED, FAILED, UNREACHABLE, MALFORMED, MISDIRECTED)
STATE_PAGES = {
    RouteState.BUILDING: BUILDING,
    RouteState.SUSPENDED: SUSPENDED,
    RouteState.FAILED: FAILED,
}

_REFERENCE = "Reference: {reference}"

_STYLE_SOURCE = """
:root { color-scheme: light dark; --paper: #fffdf9; --ground: #f8f4ec; --line: #efe8da;
  --text: #211d16; --muted: #5f574a; --accent: #1a549b; --wait: #855400; --stop: #a3262a; }
@media (prefers-color-scheme: dark) { :root { --paper: #1b1e25; --ground: #13161b;
  --line: #2a2f39; --text: #f0ebe1; --muted: #b0a897; --accent: #8fbaf2; --wait: #f0c469;
  --stop: #f49a97; } }
* { box-sizing: border-box; }
body { margin: 0; min-block-size: 100vh; display: grid; place-items: center; padding: 1.1rem;
  color: var(--text); background: var(--ground);
  font: 400 1rem/1.7 "IBM Plex Sans Arabic", "Noto Sans Arabic", system-ui, sans-serif; }
main { inline-size: 100%; max-inline-size: 34rem; background: var(--paper);
  border: 1px solid var(--line); border-block-start: 4px solid var(--stop); border-radius: .6rem;
  padding: 1.75rem; }
main.wait { border-block-start-color: var(--wait); }
section + section { margin-block-start: 1.75rem; padding-block-start: 1.75rem;
  border-block-start: 1px solid var(--line); }
h1, h2 { font-size: 1.5rem; line-height: 1.35; font-weight: 600; margin: 0 0 .7rem; }
h2 { font-size: 1.2rem; }
p { margin: 0 0 .35rem; }
p + p { border-inline-start: 3px solid var(--accent); padding-inline-start: .7rem;
  margin-block-start: .7rem; }
footer { margin-block-start: 1.75rem; color: var(--muted); font-size: .875rem; }
bdi { overflow-wrap: anywhere; }
"""
# One line without runs of blanks: the proxy squeezes those, and the policy's hash must hold.
_STYLE = " ".join(_STYLE_SOURCE.split())
_STYLE_HASH = b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode("ascii")

CONTENT_TYPE = "text/html; charset=utf-8"
HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none';"
        " form-action 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def headers_of(page: Page) -> dict[str, str]:
    """Return the headers that go with a page, besides its type; names in lower case."""
    if page.retry_after_s is None:
        return dict(HEADERS)
    return {**HEADERS, "retry-after": str(page.retry_after_s)}


def render(page: Page, reference: str) -> str:
    """Return the page as HTML; `reference` names the request for whoever is asked about it.

    It is inserted as it is: the id of a request, or the proxy's own placeholder.
    """
    first, *_ = LOCALES
    title = escape(translate(page.title, first))
    sections = "".join(_section(page, locale) for locale in LOCALES)
    tone = ' class="wait"' if page.waits else ""
    footer = escape(translate(_REFERENCE, first)).replace(
        "{reference}", f'<bdi dir="ltr">{reference}</bdi>'
    )
    return (
        f'<!doctype html><html lang="{first}" dir="{_direction(first)}"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="robots" content="noindex">'
        f"<title>{title}</title><style>{_STYLE}</style>"
        f"<main{tone}>{sections}<footer>{footer}</footer></main></html> "
    )


def _section(page: Page, locale: str) -> str:
    heading = "h1" if locale == LOCALES[0] else "h2"
    title, text, mend = (
        escape(translate(words, locale)) for words in (page.title, page.text, page.mend)
    )
    return (
        f'<section lang="{locale}" dir="{_direction(locale)}">'
        f"<{heading}>{title}</{heading}><p>{text}</p><p>{mend}</p></section>"
    )


def _direction(locale: str) -> str:
    return "rtl" if locale in _RIGHT_TO_LEFT else "ltr"
