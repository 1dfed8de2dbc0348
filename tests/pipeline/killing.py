"""Makes projects whose outputs were being swapped when SIGKILL came: one for each system call of the swap.

    python -m tests.pipeline.killing FOLDER FAILING_MOVE   # <FOLDER>/<n>: killed just before call n of the swap
    python -m tests.pipeline.killing FOLDER recover STATE  # the same of putting right what lies in STATE

The last folder is that of the work which came to its end. A small process of its own, as it forks for each call.
"""

import builtins
import errno
import fcntl
import io
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from pipeline.atomic import recover, replacing
from pipeline.workspace import Workspace

CALLS = (
    *((os, name) for name in ("open", "close", "read", "write", "pread", "pwrite", "truncate", "fsync")),
    *((os, name) for name in ("stat", "lstat", "fstat", "scandir", "listdir", "mkdir", "rmdir", "unlink", "remove")),
    *((os, name) for name in ("rename", "replace", "link", "symlink", "chmod")),
    *((io, "open"), (builtins, "open"), (fcntl, "flock")),
)
TARGETS = ("data/store", "metrics/ingest.json", "plots/train", "models")
OLD = {
    **{f"data/store/{name}": "old" for name in ("a", "b/c", "gone")},
    "metrics/ingest.json": "old",
    "models/link": "cache",  # as DVC links its cache; `plots/train` was not there before
}
NEW = {
    **{f"data/store/{name}": "new" for name in ("a", "b/c")},
    **dict.fromkeys(("metrics/ingest.json", "plots/train/x", "models/link"), "new"),
}


def lay(root: Path, content: dict[str, str]) -> None:
    """Writes files by their path."""
    for name, text in content.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def lay_old(root: Path) -> Path:
    """A project with its old outputs; the new ones lie ready in a hidden folder."""
    lay(root, {name: text for name, text in OLD.items() if text == "old"} | {"cache": "cache"})
    (root / "models").mkdir()
    (root / "models" / "link").symlink_to("../cache")
    lay(root / ".ready", NEW)
    return root


def swap(root: Path) -> None:
    """Replaces all outputs at once."""
    with replacing(*(root / name for name in TARGETS)) as parts:
        for name, part in zip(TARGETS, parts, strict=True):
            (root / ".ready" / name).rename(part)


def killed_at(number: int, work: Callable[[], object], failing_move: int = 0) -> bool:
    """Runs ``work`` in a child that is killed just before its system call ``number``, counted from 1.

    Args:
        number: beyond the last call nothing is killed.
        work: what to do.
        failing_move: which of its moves ends with EBUSY, counted from 1; 0: none.

    Returns:
        Whether there was such a call.
    """
    child = os.fork()
    if not child:
        code = 1
        try:
            _arm(number, failing_move)
            work()
            code = 0
        except OSError as error:
            code = 0 if failing_move and error.errno == errno.EBUSY else 1
            if code:
                traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


def _arm(number: int, failing_move: int) -> None:
    done, moves = 0, 0

    def armed(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*given: Any, **named: Any) -> Any:
            nonlocal done, moves
            done += 1
            if done == number:
                os.kill(os.getpid(), signal.SIGKILL)
            if name in ("rename", "replace"):
                moves += 1
                if moves == failing_move:
                    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
            # a kill loses nothing that was written, so that waiting for the disk would only take time
            return None if name == "fsync" else call(*given, **named)

        return wrapper

    for module, name in CALLS:
        setattr(module, name, armed(name, getattr(module, name)))


def main(folder: Path, work: str, *state: str) -> None:
    """See the module."""
    for number in count(1):
        root = folder / f"{number}"
        if state:
            shutil.copytree(state[0], root, symlinks=True)
            killed = killed_at(number, lambda root=root: recover(Workspace(root).places))  # type: ignore[misc]
        else:
            lay_old(root)
            killed = killed_at(number, lambda root=root: swap(root), int(work))  # type: ignore[misc]
        if not killed:
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
