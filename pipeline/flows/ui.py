"""Prefect's pages: where they are seen, where they ask for their data, and that they ask nobody else.

Imports no Prefect: what is said here is its server's environment.
"""

import os
import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from pipeline.atomic import replacing
from pipeline.errors import UserError

ANYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # no address to ask: every one of this machine
# Prefect's pages hold an analytics service's client, which asks that service how to behave even with analytics off,
# and show logos from elsewhere. A browser that reads this asks the page's own server alone
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:"
)
META = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
ACCOUNT = re.compile(r"\{return`[0-9a-f]{32}`\}")  # of that service; its client does not start without one


class Address(NamedTuple):
    """Where a server is reached.

    Attributes:
        api: its API, for programs on this machine.
        pages: its pages, for browsers.
        base: the path below which both lie; empty for none.
    """

    api: str
    pages: str
    base: str


def address(host: str, port: int, public_url: str = "") -> Address:
    """The address of a server that listens on ``host`` and ``port``.

    Args:
        public_url: where browsers reach it, through a proxy that hands the path on as it is; empty for directly.

    Raises:
        UserError: ``public_url`` is no address.
    """
    name = ANYWHERE.get(host, host)
    here = f"http://{f'[{name}]' if ':' in name else name}:{port}"
    base = _base(public_url) if public_url else ""
    return Address(f"{here}{base}/api", public_url.rstrip("/") or here, base)


def environment(at: Address) -> dict[str, str]:
    """What a server and its flows are told of their address.

    Pages ask for their data at the host that they come from, whatever its name: a browser elsewhere knows this
    machine by another one.
    """
    told = {
        "PREFECT_UI_API_URL": f"{at.base}/api",
        "PREFECT_UI_URL": at.pages,  # of links in logs and notifications
        "PREFECT_UI_STATIC_DIRECTORY": str(static(at)),
    }
    if at.base:
        told |= {"PREFECT_UI_SERVE_BASE": at.base, "PREFECT_SERVER_API_BASE_PATH": f"{at.base}/api"}
    return told


def static(at: Address) -> Path:
    """The folder into which the server copies its pages: one for each base, which stands in every page."""
    home = Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser()
    return home / "augmint-ui" / (at.base.strip("/").replace("/", "-") or "root")


def keep_private(folder: Path) -> None:
    """Has the pages that a server has copied into ``folder`` ask nobody but that server.

    A policy in each page forbids it to the browser; and the analytics client loses its account, so that it does not
    try. Called after a server's start, before anybody knows its address.
    """
    for page in folder.glob("*/index.html"):
        text = page.read_text(encoding="utf-8")
        if META not in text:
            _write(page, text.replace("<head>", f"<head>{META}", 1))
    for script in folder.glob("*/assets/index-*.js"):
        text = script.read_text(encoding="utf-8")
        if ACCOUNT.search(text):
            _write(script, ACCOUNT.sub("{return``}", text))


def _write(file: Path, text: str) -> None:
    with replacing(file) as (part,):
        part.write_text(text, encoding="utf-8")


def _base(public_url: str) -> str:
    """The path of an address.

    Raises:
        UserError: it is none.
    """
    try:
        parts = urlsplit(public_url)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        whole = False
    if not whole or parts.query or parts.fragment or not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*/?", parts.path):
        raise UserError(f"--public-url {public_url}: no address of pages, such as https://lab.example/prefect")
    return parts.path.rstrip("/")
