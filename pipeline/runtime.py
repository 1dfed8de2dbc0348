"""The process and its machine: cores, and settings that torch's speed on a CPU hangs on."""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline.errors import UserError

if TYPE_CHECKING:
    import torch

# Waiting threads of OpenMP spin for milliseconds; with another program on the same cores that costs a training many
# times its time. This many turns are microseconds: enough on idle cores, harmless on busy ones.
SPINS = "3000"

# glibc gives large blocks back to the system at once, and each tensor's memory is then mapped and cleared anew.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # from malloc.h
KEPT, LARGEST_KEPT = 1 << 30, 32 << 20  # bytes; the second is the most that glibc allows


def prepare() -> None:
    """Makes both settings, before torch is imported.

    What the user's environment says stays, and other C libraries than glibc are left alone.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "gnu_get_libc_version"):
        libc.mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)
        libc.mallopt(M_TRIM_THRESHOLD, KEPT)


def release_freed() -> None:
    """Gives memory that was freed back to the system, where the C library (glibc) would keep it for the thread."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)


def usable_cores() -> int:
    """The cores that this process may run on, one at least."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1  # not on macOS


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
    """The device that ``auto``, ``cpu`` or ``cuda`` stands for.

    Args:
        name: the choice.
        key: its place in params.yaml, for the message: ``train.device``.

    Raises:
        UserError: ``cuda`` where there is none.
    """
    import torch  # not before :func:`prepare`

    if name == "cuda" and not torch.cuda.is_available():
        raise UserError(f"{key}: cuda is asked for, but torch sees no CUDA device; use auto or cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)
