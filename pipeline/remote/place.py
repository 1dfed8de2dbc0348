"""A file or folder at an address, as fsspec's file system for it sees it; asked again while what is wrong may pass."""

import logging
import re
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, NamedTuple, TypeVar

from pipeline.errors import BusyError, UserError
from pipeline.progress import say
from pipeline.remote.addresses import local_path, scheme_of, shown, unkeyed
from pipeline.remote.faults import Kind, RemoteError, judged

T = TypeVar("T")
PAUSES = (1.0, 2.0, 4.0, 8.0)
"""Seconds to wait before each further try, on top of what a file system's own library tries."""
CHUNK = 4 * 2**20
"""Bytes asked for at a time: what is lost with a connection."""
CONNECTIONS = 8


class FromStartOnlyError(Exception):
    """A file that cannot be read from where reading broke off, as some web servers give it."""


class Scheme(NamedTuple):
    """What a user has to know of a kind of address: the packages, and where its keys are found."""

    extra: str
    package: str
    keys: str
    whole: bool = True
    """A file is there when all of it is, as with object stores."""


S3 = Scheme("s3", "s3fs", "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE")
GS = Scheme("gs", "gcsfs", "GOOGLE_APPLICATION_CREDENTIALS, or `gcloud auth application-default login`")
AZ = Scheme(
    "az", "adlfs", "AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY"
)
SSH = Scheme(
    "ssh",
    "sshfs",
    "a key in ~/.ssh or its agent, ~/.ssh/config, and the host's own key in ~/.ssh/known_hosts, where `ssh` puts it",
    whole=False,
)
HUB = Scheme("huggingface", "huggingface_hub", "HF_TOKEN, or `hf auth login`")
SCHEMES = {
    **dict.fromkeys(("s3", "s3a"), S3),
    **dict.fromkeys(("gs", "gcs"), GS),
    **dict.fromkeys(("az", "azure", "abfs"), AZ),
    **dict.fromkeys(("ssh", "sftp"), SSH),
    "hf": HUB,
}
OTHER = Scheme("", "", "the file system's own settings, or ~/.config/fsspec", whole=False)


@dataclass
class Place:
    """Where an address leads.

    Attributes:
        url: the address.
        key: what names it in messages: ``data.path``.
        files: fsspec's file system.
        path: in that.
        stopped: set when nobody waits for an answer any more.
    """

    url: str
    key: str
    files: Any
    path: str
    scheme: Scheme = field(init=False)
    stopped: threading.Event = field(default_factory=threading.Event)
    quiet_until: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.scheme = SCHEMES.get(scheme_of(self.url), OTHER)

    @classmethod
    def open(cls, url: str, key: str) -> "Place":
        """The place at ``url``.

        Raises:
            UserError: a secret in the address, no such protocol, or no package for it.
        """
        where, scheme = f"{key}: {shown(url)}", SCHEMES.get(scheme_of(url), OTHER)
        try:
            unkeyed(url)
        except ValueError as error:
            raise UserError(f"{key}: {error}") from None
        if scheme.package:  # what it would log, with a traceback, comes as an error too, and is said in a sentence
            logging.getLogger(scheme.package).setLevel(logging.CRITICAL)
        try:
            files, path = _opened(url)
            files.invalidate_cache()
        except ImportError as error:
            remedy = f"pip install 'augmint[{scheme.extra}]'" if scheme.extra else f"{error}: install that"
            named = f" needs the package {scheme.package}" if scheme.package else " needs a further package"
            raise UserError(f"{where}{named}; {remedy}") from None
        except Exception as error:  # the file systems raise whatever their libraries do
            raise cls(url, key, None, "").failure(judged(error)) from None
        return cls(url, key, files, path)

    @property
    def where(self) -> str:
        """How a message begins."""
        return f"{self.key}: {shown(self.url)}"

    @property
    def connections(self) -> int:
        """How many threads may ask at a time."""
        return CONNECTIONS if getattr(self.files, "async_impl", False) else 1

    def ask(self, call: Callable[[], T]) -> T:
        """What ``call`` returns, which asks the file system; asked again while what is wrong may pass.

        Raises:
            UserError, BusyError: see :meth:`failure`.
        """
        return self._asked(call, gone=False)  # type: ignore[return-value]

    def ask_for(self, call: Callable[[], T]) -> T | None:
        """As :meth:`ask`, and None where nothing is there."""
        return self._asked(call, gone=True)

    def content(self, name: str) -> bytes | None:
        """All bytes of a small file; None where it is not there."""
        return self.ask_for(lambda: bytes(self.files.cat_file(name)))

    def _asked(self, call: Callable[[], T], gone: bool) -> T | None:
        patience = Patience(self)
        while True:
            try:
                return call()
            except Exception as error:
                fault = judged(error)
            if gone and fault.kind is Kind.GONE:
                return None
            patience.wait(fault)

    def reconnect(self, lost: Any) -> None:
        """Connects anew where ``lost`` is still what is asked: a connection by SSH stays lost.

        Raises:
            Exception: whatever the file system's library does.
        """
        with self._lock:
            if self.scheme is SSH and self.files is lost:
                self.files, _ = _opened(self.url)

    def read(self, name: str, offset: int, size: int) -> Generator[bytes, None, None]:
        """The bytes of a file from ``offset`` on, asked for ``size`` at a time.

        Raises:
            FromStartOnlyError: not from there.
            RemoteError: not now, or not at all.
        """
        web = scheme_of(self.url) in ("http", "https")
        more: dict[str, Any] = {"block_size": size, "cache_type": "none"} if self.connections > 1 else {}
        if web and not offset:
            more = {"block_size": 0}  # in one answer, as some servers give no parts
        try:
            with self.files.open(name, "rb", **more) as source:
                if offset:
                    _seek(source, offset)
                while data := source.read(size):
                    yield data
        except FromStartOnlyError:
            raise
        except Exception as error:
            if web and offset and isinstance(error, ValueError):
                raise FromStartOnlyError from None
            raise judged(error) from error

    def failure(self, error: RemoteError) -> UserError:
        """What a user should read of it: what, where, and what to do."""
        where, said = self.where, error.reason
        if error.kind is Kind.DENIED:
            return UserError(f"{where}: access is refused ({said}); check the key and its rights: {self.scheme.keys}")
        if error.kind is Kind.GONE:
            return UserError(f"{where}: {self._missing()}; mend the address")
        if error.kind is Kind.UNUSABLE:
            return UserError(f"{where}: {said}; mend the address, or take a path on this machine")
        if error.kind is Kind.CHANGED:
            return BusyError(f"{where}: changes while it is read ({said}); try again when it is finished")
        return BusyError(f"{where}: cannot be reached now ({said}); try again later, or mend the address")

    @contextmanager
    def stopping(self) -> Iterator[None]:
        """Stops all that ask this place when the body ends by an error."""
        try:
            yield
        except BaseException:
            self.stopped.set()
            raise

    def say_pause(self, error: RemoteError, pause: float) -> None:
        """Says that it is tried again, once for all connections that wait."""
        with self._lock:
            if time.monotonic() >= self.quiet_until:
                say(f"{self.where}: {error.reason}; again in {pause:g} s")
                self.quiet_until = time.monotonic() + pause

    def _missing(self) -> str:
        bucket = self.path.strip("/").partition("/")[0]
        if self.scheme in (S3, GS, AZ) and self.files is not None and bucket:
            try:
                if not self.files.exists(bucket):
                    return f"there is no bucket {bucket}"
            except Exception:  # it was a question on the side
                return "nothing is there"
        return "nothing is there"


def _opened(url: str) -> tuple[Any, str]:
    """fsspec's file system for an address, and the path in it."""
    from fsspec.core import url_to_fs

    address, scheme = str(local_path(url) or re.sub(r"^azure:", "az:", url)), scheme_of(url)  # DVC calls Azure so
    if SCHEMES.get(scheme) is not SSH:
        return url_to_fs(address)
    import_module(SSH.package)  # without it fsspec has another, which takes any host for the right one
    # so does this one, unless it is told to look among the known hosts; and it keeps connections that are lost
    return url_to_fs(address, **{scheme: {"known_hosts": (), "skip_instance_cache": True}})


def _seek(source: Any, offset: int) -> None:
    try:
        source.seek(offset)
    except (ValueError, NotImplementedError, OSError):
        raise FromStartOnlyError from None


class Patience:
    """Waits before a further try, longer each time, and says so."""

    def __init__(self, place: Place) -> None:
        self._place, self._tries, self._asked = place, 0, place.files

    @property
    def chunk(self) -> int:
        """Bytes to ask for at a time: fewer after each try, as a connection may last for no more."""
        return max(1, CHUNK >> 2 * self._tries)

    def renew(self) -> None:
        """Something was had meanwhile."""
        self._tries = 0

    def wait(self, error: RemoteError) -> None:
        """Waits if ``error`` may pass.

        Raises:
            UserError, BusyError: it does not, or did not so far.
        """
        if error.kind is not Kind.PASSING or self._tries >= len(PAUSES):
            raise self._place.failure(error) from None
        pause = PAUSES[self._tries]
        self._tries += 1
        self._place.say_pause(error, pause)
        if self._place.stopped.wait(pause):
            raise self._place.failure(error) from None
        try:
            self._place.reconnect(self._asked)
        except Exception as further:  # the file systems raise whatever their libraries do
            self.wait(judged(further))
        self._asked = self._place.files
