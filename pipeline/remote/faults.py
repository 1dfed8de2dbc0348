"""What an error of a file system means. Each raises what its own library does; the kinds that matter are few."""

from collections.abc import Iterator
from enum import Enum
from typing import Any

MOST_SAID = 200
PASSING = {408, 425, 429, 500, 502, 503, 504}
"""Statuses of HTTP that pass by themselves: throttled, overloaded, timed out."""
BY_NAME = {
    "FileExpired": "changed",
    **dict.fromkeys(("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"), "denied"),
    **dict.fromkeys(("ProfileNotFound", "TokenRetrievalError", "UnauthorizedSSOTokenError"), "denied"),
    **dict.fromkeys(("DefaultCredentialsError", "RefreshError", "ClientAuthenticationError"), "denied"),
    **dict.fromkeys(("PermissionDenied", "HostKeyNotVerifiable", "AuthenticationException"), "denied"),
    **dict.fromkeys(("ParamValidationError", "InvalidURL", "InvalidUrlClientError"), "unusable"),
}
"""Errors of the libraries that have no status and no class of Python's."""


class Kind(Enum):
    """What to make of an error."""

    GONE = "gone"
    DENIED = "denied"
    CHANGED = "changed"
    UNUSABLE = "unusable"
    PASSING = "passing"


class RemoteError(Exception):
    """An error of the other side.

    Attributes:
        kind: what to make of it.
        reason: what was said there, in a line.
    """

    def __init__(self, kind: Kind, reason: str) -> None:
        super().__init__(reason)
        self.kind, self.reason = kind, reason


def judged(error: Exception) -> RemoteError:
    """What ``error`` means. One that nobody foresaw may pass."""
    chain = list(_chain(error))
    kind = _by_status({status for each in chain for status in _statuses(each)}) or _by_class(chain)
    return RemoteError(kind, _reason(chain))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _statuses(error: BaseException) -> Iterator[int]:
    """The statuses of HTTP that an error tells of, as botocore, aiohttp, requests and others keep them."""
    response: Any = getattr(error, "response", None)
    if type(error).__module__ == "aiohttp.http_exceptions":  # 400, for an answer that broke off
        return
    if isinstance(response, dict):
        metadata = response.get("ResponseMetadata")
        found = [metadata.get("HTTPStatusCode") if isinstance(metadata, dict) else None]
    else:
        names = ("status", "status_code", "code")
        found = [getattr(owner, name, None) for owner in (error, response) for name in names]
    numbers = (int(status) for status in found if isinstance(status, int | str) and str(status).isdecimal())
    yield from (number for number in numbers if 100 <= number < 600)  # those of SSH are others


def _by_status(statuses: set[int]) -> Kind | None:
    if statuses & PASSING:
        return Kind.PASSING
    for kind, those in ((Kind.CHANGED, {412}), (Kind.DENIED, {401, 403}), (Kind.GONE, {404, 410})):
        if statuses & those:
            return kind
    return Kind.UNUSABLE if any(300 <= status < 500 for status in statuses) else None


def _by_class(chain: list[BaseException]) -> Kind:
    for error in chain:
        if name := BY_NAME.get(type(error).__name__):
            return Kind(name)
    first = chain[0]
    if isinstance(first, ValueError) and "credential" in str(first).lower():  # adlfs, for want of any
        return Kind.DENIED
    if isinstance(first, PermissionError):
        return Kind.DENIED
    if isinstance(first, FileNotFoundError | NotADirectoryError | IsADirectoryError):
        # some say so although they could not ask
        asked = all(isinstance(each, FileNotFoundError) or not isinstance(each, OSError) for each in chain)
        return Kind.GONE if asked else Kind.PASSING
    return Kind.UNUSABLE if isinstance(first, ValueError | TypeError | NotImplementedError) else Kind.PASSING


def _reason(chain: list[BaseException]) -> str:
    """What the innermost error says, whose library knows best, with its code: ``SlowDown: Please reduce …``."""
    responses = [getattr(each, "response", None) for each in chain]
    told: dict[str, Any] = next((each.get("Error", {}) for each in responses if isinstance(each, dict)), {})
    if told.get("Code"):
        text = f"{told['Code']}: {told.get('Message') or 'no more was said'}"
    else:
        last = chain[-1]
        said = str(getattr(last, "message", "") or last).strip() or "no more was said"
        named = next((str(status) for status in _statuses(last)), type(last).__name__)
        text = said if isinstance(last, OSError | ValueError) else f"{named}: {said}"
    return " ".join(text.split()).rstrip(". ")[:MOST_SAID]
