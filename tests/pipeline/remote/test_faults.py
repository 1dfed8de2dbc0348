"""What the errors and facts of stores mean whose packages are not at hand here, by what their libraries give."""

import base64
import errno
import hashlib

import pytest

from pipeline.remote.faults import Kind, judged
from pipeline.remote.listing import Part

CONTENT = b"an image"
MD5, SHA256 = hashlib.md5(CONTENT), hashlib.sha256(CONTENT)


def error(name: str, base: type[Exception] = Exception, text: str = "said", **attributes: object) -> Exception:
    """An error of a library's own class."""
    made = type(name, (base,), {})(text)
    for key, value in attributes.items():
        setattr(made, key, value)
    return made


def because(outer: Exception, inner: Exception) -> Exception:
    outer.__cause__ = inner
    return outer


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (error("HttpError", code=429), Kind.PASSING),  # gcsfs
        (error("HttpError", code="503"), Kind.PASSING),
        (error("HttpError", code=403), Kind.DENIED),
        (error("DefaultCredentialsError"), Kind.DENIED),
        (error("HttpResponseError", status_code=503), Kind.PASSING),  # Azure
        (error("ResourceNotFoundError", status_code=404), Kind.GONE),
        (error("ClientAuthenticationError"), Kind.DENIED),
        (ValueError("Must provide either a connection_string or account_name with credentials!!"), Kind.DENIED),
        (error("HfHubHTTPError", response=error("Response", status_code=429)), Kind.PASSING),  # the Hub
        (error("GatedRepoError", response=error("Response", status_code=403)), Kind.DENIED),
        (error("PermissionDenied", code=14), Kind.DENIED),  # SSH
        (error("ConnectionLost", code=11), Kind.PASSING),
        (because(FileNotFoundError("x"), ConnectionRefusedError(errno.ECONNREFUSED, "refused")), Kind.PASSING),
        (because(FileNotFoundError("x"), error("ClientResponseError", status=503)), Kind.PASSING),
        (because(FileNotFoundError("x"), error("ClientResponseError", status=404)), Kind.GONE),
        (
            because(OSError(errno.EBUSY, "slow"), error("ClientError", response={"Error": {"Code": "SlowDown"}})),
            Kind.PASSING,
        ),
        (error("FileExpired", OSError), Kind.CHANGED),
        (PermissionError("no"), Kind.DENIED),
        (TimeoutError("late"), Kind.PASSING),
        (ValueError("no such region"), Kind.UNUSABLE),
        (error("NobodyForesawThis"), Kind.PASSING),
    ],
    ids=str,
)
def test_faults_that_pass_are_told_from_those_to_mend(given: Exception, kind: Kind) -> None:
    assert judged(given).kind is kind
    assert judged(given).reason


@pytest.mark.parametrize(
    ("facts", "digests"),
    [
        ({"ETag": '"abc-3"', "LastModified": "today"}, {}),  # S3: not always a digest
        ({"md5Hash": base64.b64encode(MD5.digest()).decode(), "etag": "x"}, {"md5": {MD5.hexdigest()}}),
        ({"content_settings": {"content_md5": bytearray(MD5.digest())}}, {"md5": {MD5.hexdigest()}}),
        ({"lfs": {"sha256": SHA256.hexdigest(), "size": 8}, "blob_id": "b"}, {"sha256": {SHA256.hexdigest()}}),
        ({"mtime": 3.5}, {}),
    ],
    ids=str,
)
def test_checksums_that_stores_tell(facts: dict[str, object], digests: dict[str, set[str]]) -> None:
    assert Part.of("set/a.png", "a.png", {"size": 8} | facts).digests() == digests


def test_a_version_is_told_by_the_content_where_it_can_be() -> None:
    touched = [Part.of("a", "a", {"ETag": '"e"', "LastModified": day, "size": 1}) for day in ("today", "tomorrow")]
    assert touched[0] == touched[1]
    assert Part.of("a", "a", {"mtime": 1.0}).told != Part.of("a", "a", {"mtime": 2.0}).told
    assert not Part.of("a", "a", {"size": 1}).told
