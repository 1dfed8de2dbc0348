"""What runs on the worker of a cluster: it looks around once, and then does its work with what it has opened before.

A worker has to see the project's folder where this machine has it, and to have the same augmint, Python's libraries
included: else it would compute other bytes, or none.
"""

import hashlib
import io
import pickle
import platform
import socket
import traceback
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gan.files import sha256
from pipeline.errors import UserError
from pipeline.workers.base import Work

PACKAGES = ("torch", "numpy", "scipy", "pillow", "pyarrow", "safetensors")
"""Which change what is computed or written."""

_known: dict[str, Work] = {}  # of this process, the last work that it was given


@dataclass(frozen=True)
class Visit:
    """What a worker is told, once for each work.

    Attributes:
        work: the file with its pickle, which each worker reads once; networks and features are in it.
        digest: SHA-256 of that file.
        mark: a file in the project's folder.
        text: what stands in it.
        versions: what this machine has.
        named: how the engine and its place are called, for messages.
    """

    work: Path
    digest: str
    mark: Path
    text: str
    versions: dict[str, str]
    named: str

    @classmethod
    def of(cls, work: Work, mark: Path, named: str) -> "Visit":
        """What workers are told of ``work``, written beside ``mark``, a file that they have to see."""
        pickled = packed(work)
        digest = hashlib.sha256(pickled).hexdigest()
        file = mark.with_name(f"{mark.name}-{digest}")
        file.write_bytes(pickled)
        return cls(file, digest, mark, mark.read_text(encoding="utf-8"), versions(), named)

    @property
    def key(self) -> str:
        """Names the work."""
        return self.digest + self.text

    def loaded(self) -> Work:
        """The work.

        Raises:
            UserError: its file is not there, or another.
        """
        try:
            if sha256(self.work) == self.digest:
                return pickle.loads(self.work.read_bytes())
        except OSError:
            pass
        raise self.unseen(self.work)

    def unseen(self, file: Path) -> UserError:
        """What is said where a worker does not see what this machine has written."""
        return UserError(
            f"{self.here} does not see the project's folder: {file} is not there, or another; mount the folder at "
            "the same place on every worker, or set workers.engine: local"
        )

    @property
    def here(self) -> str:
        """This worker, for messages."""
        return f"{self.named}: the worker on {socket.gethostname()}"


class Outcome(NamedTuple):
    """What became of a shard: a result, or what was raised; an engine would take that for a fault of the worker."""

    result: Any
    error: Exception | None

    def get(self) -> Any:
        """The result.

        Raises:
            Exception: what the work raised.
        """
        if self.error is not None:
            raise self.error
        return self.result


def do(visit: Visit, shard: Any) -> Outcome:
    """Does the work for one shard."""
    try:
        if visit.key not in _known:
            look_around(visit)
            _known.clear()
            _known[visit.key] = visit.loaded()
        return Outcome(_known[visit.key](shard), None)
    except Exception as error:
        return Outcome(None, _portable(error))


def look(visit: Visit) -> Outcome:
    """Whether this worker can do what is asked of it."""
    try:
        look_around(visit)
    except UserError as error:
        return Outcome(None, error)
    return Outcome(None, None)


def look_around(visit: Visit) -> None:
    """Looks whether this is a worker that computes the same bytes.

    Raises:
        UserError: it does not see the project's folder, or has other versions.
    """
    try:
        seen = visit.mark.read_text(encoding="utf-8")
    except OSError:
        seen = ""
    if seen != visit.text:
        raise visit.unseen(visit.mark)
    own = versions()
    other = [f"{name} {own[name]}, not {wanted}" for name, wanted in visit.versions.items() if own[name] != wanted]
    if other:
        raise UserError(
            f"{visit.here} has {'; '.join(other)}, and would not compute the same bytes; install there what is here, "
            "or set workers.engine: local"
        )


@cache
def versions() -> dict[str, str]:
    """What this machine computes with."""
    found = {"python": ".".join(platform.python_version_tuple()[:2]), "augmint": _code()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return found


def packed(work: Work) -> bytes:
    """A work's pickle, in which memory-mapped arrays are the places of their files: workers map them as well."""
    written = io.BytesIO()
    _Packer(written, pickle.HIGHEST_PROTOCOL).dump(work)
    return written.getvalue()


class _Packer(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        if not isinstance(value, np.memmap) or not value.flags.c_contiguous or value.filename is None:
            return NotImplemented
        whole = value
        while isinstance(whole.base, np.memmap):
            whole = whole.base  # of which it is a slice, whose own offset says nothing
        offset = whole.offset + value.ctypes.data - whole.ctypes.data
        return _mapped, (Path(value.filename), value.dtype.str, offset, value.shape)


def _mapped(path: Path, dtype: str, offset: int, shape: tuple[int, ...]) -> np.ndarray:
    return np.memmap(path, dtype, "r", offset, shape)


def _code() -> str:
    """12 digits of the SHA-256 of augmint's own modules: between two releases the version says nothing."""
    found = hashlib.sha256()
    root = Path(__file__).parents[2]
    for room in ("gan", "pipeline"):
        for file in sorted((root / room).rglob("*.py")):
            found.update(file.read_bytes())
    return found.hexdigest()[:12]


def _portable(error: Exception) -> Exception:
    """An exception as it can go from one process to another, with the trace that it leaves behind as a note."""
    error.add_note("".join(traceback.format_exception(error)).rstrip())
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
