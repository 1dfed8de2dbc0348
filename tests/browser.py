"""A real browser for the tests of pages: Debian's Chromium, headless, seen at a width and in a colour scheme."""

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Page, Request, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")
WIDTHS = (1280, 390)
SCHEMES = ("light", "dark")
# as root there is no sandbox; the rest keeps the browser from asking its maker for anything
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass
class Seen:
    """A page, and what happened on it since it was opened."""

    page: Page
    requests: list[str] = field(default_factory=list)  # every address asked for, the page's own too
    held: list[str] = field(default_factory=list)  # those that the page's own policy kept from leaving
    errors: list[str] = field(default_factory=list)  # what the console and scripts complained of

    def leaving(self, *homes: str) -> list[str]:
        """The addresses that were asked, not held, and start with none of ``homes``; files and data aside."""
        asked = Counter(self.requests) - Counter(self.held)
        return [url for url in asked.elements() if not url.startswith((*homes, "file:", "data:", "blob:"))]

    def sideways(self) -> int:
        """By how many pixels the page is wider than its window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))


@contextmanager
def opened(width: int = 1280, scheme: str = "light", height: int = 900) -> Iterator[Seen]:
    """An empty page of a browser of its own; closed at the end."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]
        seen = Seen(page)

        def asked(request: Request) -> None:
            seen.requests.append(request.url)

        page.on("request", asked)
        page.on("requestfailed", lambda request: request.failure == "csp" and seen.held.append(request.url))
        page.on("console", lambda message: message.type == "error" and seen.errors.append(message.text))
        page.on("pageerror", lambda error: seen.errors.append(str(error)))
        yield seen
        browser.close()
