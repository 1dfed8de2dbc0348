"""Addresses as text: what is one, where it lies on this machine, and that no key is written in it."""

import re
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(::[A-Za-z][A-Za-z0-9+.-]*)*:/(/|$)")
PASSWORD = re.compile(r"(?<=://)(?!arn:)[^/@:?#]*:(?!\d*(?:[/?#]|$))[^@]*@|(?<=http://)[^/@]*@|(?<=https://)[^/@]*@")
"""Of ``//user:password@host``; the password may hold a slash, as keys of S3 do. What follows a colon may be a port.
With web servers the user alone may be a token; elsewhere it is a name (``ssh://me@host``) or a container (``abfs://``).
"""
KEYS = re.compile(r"(.*[-_.])?(sig|signature|token|secret|password|passwd|credential|(api|access|account)?[-_]?key)")
"""What a part of a query that holds a key is called: ``sig``, ``X-Amz-Signature``, ``access_token``."""


def is_url(path: str) -> bool:
    """Whether ``path`` is an address and no path on this machine."""
    return bool(ADDRESS.match(path))


def scheme_of(url: str) -> str:
    """What an address begins with, in lower case; of a chain its last: ``https`` of ``zip::https://…``."""
    return url.partition(":/")[0].rpartition("::")[2].lower()


def local_path(url: str) -> Path | None:
    """Where a ``file://`` address lies on this machine; None for any other."""
    parts = urlsplit(url)
    if parts.scheme not in ("file", "local"):
        return None
    return Path(unquote(parts.path) if parts.scheme == "file" else parts.netloc + parts.path)


def shown(url: str) -> str:
    """``url`` for a message: without a password in it, and without a query, which may hold a key."""
    return PASSWORD.sub("", url).partition("?")[0]


def secret_in(url: str) -> str | None:
    """What an address has in it that nobody should commit; None for nothing.

    >>> secret_in("https://me:pw@host/set.zip"), secret_in("ssh://me@host:22/set")
    ('a password', None)
    >>> secret_in("https://host/set.zip?version=3&sig=abc"), secret_in("https://host/set.zip?version=3")
    ("a key, 'sig'", None)
    """
    if not is_url(url):
        return None
    if PASSWORD.search(url):
        return "a password"
    query = parse_qsl(url.partition("?")[2], keep_blank_values=True)
    return next((f"a key, {name!r}" for name, _ in query if KEYS.fullmatch(name.lower())), None)


def unkeyed(url: str) -> str:
    """``url``, for who checks a value.

    Raises:
        ValueError: there is a secret in it; the message says what to do, and does not show it.
    """
    if secret := secret_in(url):
        raise ValueError(
            f"{shown(url)} has {secret} in it, and this is committed and shown; take it out, and give it to this "
            "machine alone, in its environment or in the files of the tool for that address"
        )
    return url
