"""An S3 server on this machine, moto's, with the faults that a real one has."""

import os
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

KEY, SECRET = "AKIAGOODKEY", "verysecretkey/with+slash"
NOWHERE = f"{os.devnull}/none"
REFUSAL = (
    '<?xml version="1.0" encoding="UTF-8"?><Error><Code>InvalidAccessKeyId</Code><Message>The AWS Access Key Id you '
    "provided does not exist in our records.</Message></Error>"
)
SLOW = (
    '<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code>'
    "<Message>Please reduce your request rate.</Message></Error>"
)


class S3:
    """The server, and the next faults that it will have.

    Attributes:
        url: where it listens.
        client: boto3's, as an independent writer and reader.
        asked: how often each ``METHOD /bucket/key`` was asked for since :meth:`calm`.
        throttled: how many further requests for a path that matches are told to slow down.
        cut: after how many bytes of its body an answer breaks off; each is taken once.
        before: called with the request before it is answered.
    """

    def __init__(self) -> None:
        import boto3
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
        from werkzeug.serving import make_server

        self._app = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()
        self.calm()
        os.environ.setdefault("WERKZEUG_RUN_MAIN", "false")
        self._server = make_server(
            "127.0.0.1", 0, self._answer, threaded=True, request_handler=_quiet(MotoRequestHandler)
        )
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.client: Any = boto3.client(
            "s3", endpoint_url=self.url, aws_access_key_id=KEY, aws_secret_access_key=SECRET, region_name="us-east-1"
        )

    @property
    def environment(self) -> dict[str, str]:
        """What a program has to have in its environment to come here."""
        return {
            **{"AWS_ENDPOINT_URL": self.url, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET},
            **{"AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1"},
            **{"AWS_CONFIG_FILE": NOWHERE, "AWS_SHARED_CREDENTIALS_FILE": NOWHERE},
        }

    def calm(self) -> None:
        """Ends all faults."""
        self.asked: Counter[str] = Counter()
        self.throttled: Counter[str] = Counter()
        self.cut: list[int] = []
        self.before: Callable[[str], None] = lambda request: None

    def bucket(self, name: str, **objects: bytes) -> str:
        """A new bucket with these objects; its address."""
        self.client.create_bucket(Bucket=name)
        for key, content in objects.items():
            self.client.put_object(Bucket=name, Key=key, Body=content)
        return f"s3://{name}"

    def content(self, bucket: str) -> dict[str, bytes]:
        """Every object of a bucket."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        keys = [each["Key"] for page in pages for each in page.get("Contents", [])]
        return {key: self.client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}

    def close(self) -> None:
        """Ends it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        request = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
        with self._lock:
            self.asked[request] += 1
            slow = next((path for path, left in self.throttled.items() if left and re.search(path, request)), None)
            if slow is not None:
                self.throttled[slow] -= 1
            body = request.startswith("GET") and environ["PATH_INFO"].count("/") > 1
            cut = self.cut.pop(0) if self.cut and body else None
        self.before(request)
        if f"Credential={KEY}/" not in environ.get("HTTP_AUTHORIZATION", ""):
            return _fault(environ, start, "403 Forbidden", REFUSAL)
        if slow is not None:
            return _fault(environ, start, "503 Slow Down", SLOW)
        answer = self._app(environ, start)
        return answer if cut is None else _cut(answer, cut)


def _quiet(handler: Any) -> type:
    return type("Quiet", (handler,), {"log": lambda *_: None, "log_request": lambda *_: None})


def _fault(environ: dict[str, Any], start: Callable[..., Any], status: str, body: str) -> list[bytes]:
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body.encode()]


def _cut(answer: Iterable[bytes], size: int) -> Iterator[bytes]:
    yield b"".join(answer)[:size]
    raise ConnectionAbortedError("as asked")


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3]:
    """One for all tests of a process."""
    server = S3()
    yield server
    server.close()


@pytest.fixture
def s3(s3_server: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    """The server without faults and with the right key in the environment; without pauses between tries."""
    from pipeline.remote import place

    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setattr(place, "PAUSES", (0.0, 0.0))
    monkeypatch.setattr("s3fs.S3FileSystem.retries", 1)  # its own tries take their pauses too
    yield s3_server
    s3_server.calm()
