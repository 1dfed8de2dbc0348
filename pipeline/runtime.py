"""The process and its machine: cores, and settings that torch's speed on a CPU hangs on."""

import ctypes
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import UserError
from pipeline.limits import core_quota

if TYPE_CHECKING:
    import torch

# Waiting threads of OpenMP spin for milliseconds; with another program on the same cores that costs a training many
# times its time. This many turns are microseconds: enough on idle cores, harmless on busy ones.
SPINS = "3000"

# glibc gives large blocks back to the system at once, and each tensor's memory is then mapped and cleared anew.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # from malloc.h
KEPT, LARGEST_KEPT = 1 << 30, 32 << 20  # bytes; the second is the most that glibc allows

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Where an environment says how many threads are computed with."""

OF_A_STAGE = "DVC_STAGE"  # DVC sets it in the environment of a stage's command
SECONDS_BETWEEN_LOOKS = 0.5


def prepare() -> None:
    """Makes both settings, before torch is imported.

    What the user's environment says stays, and other C libraries than glibc are left alone.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "gnu_get_libc_version"):
        libc.mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)
        libc.mallopt(M_TRIM_THRESHOLD, KEPT)


def use_utf8() -> None:
    """Starts this program anew in Python's UTF-8 mode if the locale's encoding is another one.

    Names of classes and files are then the same in every locale, and so are the bytes that are written.
    """
    if sys.getfilesystemencoding() != "utf-8" and os.environ.get("PYTHONUTF8") != "1":
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def open_standard_streams() -> None:
    """Gives what is closed of standard input, output and error to ``/dev/null``.

    Else the next file that is opened takes the number, and whatever a library prints goes into it.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123


def release_freed() -> None:
    """Gives memory that was freed back to the system, where the C library (glibc) would keep it for the thread."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)


def open_cores() -> int:
    """The cores that this process may run on, one at least; a container may grant a share of their time alone."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1  # not on macOS


def usable_cores() -> int:
    """As many cores as this process can keep busy, one at least: what a container grants, in full cores."""
    quota = core_quota()
    return open_cores() if quota is None else max(1, min(open_cores(), math.ceil(quota)))


@contextmanager
def one_thread() -> Iterator[None]:
    """Within, torch computes each operation with one thread, so that results do not depend on the number of cores."""
    import torch  # not before :func:`prepare`

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def choose_device(name: str, key: str) -> "torch.device":
    """The device that ``auto``, ``cpu``, ``cuda`` or ``mps`` (Apple) stands for.

    ``auto`` never takes ``mps``, on which nobody has run this. Asked for, it is tried first, see :mod:`gan.fitness`;
    where it does not do, that is said, and the processor is taken.

    Args:
        name: the choice.
        key: its place in params.yaml, for the message: ``train.device``.

    Raises:
        UserError: ``cuda`` or ``mps`` where there is none.
    """
    import torch  # not before :func:`prepare`

    if name == "cuda" and not torch.cuda.is_available():
        raise UserError(f"{key}: cuda is asked for, but torch sees no CUDA device; use auto or cpu")
    if name == "mps" and not torch.backends.mps.is_available():
        raise UserError(f"{key}: mps is asked for, but torch sees no Apple GPU; use auto or cpu")
    if name == "mps" and (reason := trouble_with_mps()):
        _say_once(f"{key}: torch {torch.__version__} cannot train on this Apple GPU ({reason}); taking the processor")
        name = "cpu"
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


@cache
def _say_once(sentence: str) -> None:
    import multiprocessing

    from pipeline.progress import say

    if multiprocessing.parent_process() is None:  # the processes of trials choose as theirs did, which has said it
        say(sentence)


@cache
def trouble_with_mps() -> str | None:
    """What keeps an Apple GPU from training, in a few words; tried once a process."""
    import torch  # not before :func:`prepare`

    from gan.fitness import trouble

    return trouble(torch.device("mps"))


def taken_by_others(device: "torch.device") -> bool:
    """Whether other programs hold more than half of a GPU's memory, so that to wait may help."""
    import torch  # not before :func:`prepare`

    if device.type != "cuda":
        return False
    free, total = torch.cuda.mem_get_info(device)
    return total - free - torch.cuda.memory_reserved(device) > total / 2


def stage_ancestors() -> list[int]:
    """The processes from this one's parent up to the DVC that runs it as a stage; none if it was started by hand.

    DVC starts a stage by a shell, and the stage may have starters of its own. They share a stage's environment, which
    DVC itself has not; where the system does not show that (on macOS), the parent alone is known.
    """
    if OF_A_STAGE not in os.environ:
        return []
    found = [os.getppid()]
    while _in_stage(found[-1]) and (above := _parent(found[-1])):
        found.append(above)
    return found


@contextmanager
def ending_with(ancestors: Sequence[int], patience: float | None = None) -> Iterator[None]:
    """Ends this process with SIGTERM when one of its ancestors is gone while the body runs.

    Args:
        ancestors: its parent, that one's parent, and so on; none watches nothing.
        patience: seconds after which it is killed if it has not ended, whether in the body or after it; ``None`` for
            never.
    """
    over = threading.Event()

    def watch() -> None:
        while not over.wait(SECONDS_BETWEEN_LOOKS):
            # a process whose parent is gone gets another one
            if os.getppid() != ancestors[0] or any(_parent(one) != above for one, above in pairwise(ancestors)):
                os.kill(os.getpid(), signal.SIGTERM)
                if patience is not None:
                    time.sleep(patience)
                    os.kill(os.getpid(), signal.SIGKILL)
                return

    if ancestors:
        threading.Thread(target=watch, daemon=True, name="end with ancestors").start()
    try:
        yield
    finally:
        over.set()


def adopted(evidence: bytes) -> bool:
    """Whether the Python program that started this process is gone, and another, such as the system's, its parent.

    Args:
        evidence: what that program wrote into this process's environment; without it there was none.
    """
    with suppress(OSError):  # elsewhere than on Linux nobody can tell
        if evidence not in Path("/proc/self/environ").read_bytes():
            return False
        try:
            return not Path(f"/proc/{os.getppid()}/exe").readlink().name.startswith("python")
        except PermissionError:  # another user's
            return True
    return False


def _in_stage(process: int) -> bool:
    try:
        return f"\0{OF_A_STAGE}=".encode() in b"\0" + Path(f"/proc/{process}/environ").read_bytes()
    except OSError:
        return False


def _parent(process: int) -> int | None:
    """The parent's PID; ``None`` if there is no such process, or the system does not say."""
    try:
        status = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return int(status.rpartition(")")[2].split()[1])  # the name before it may hold anything
