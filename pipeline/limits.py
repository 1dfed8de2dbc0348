"""What this process may use of its machine: cores and memory, with the limits of a container."""

import os
from collections.abc import Iterator
from pathlib import Path

SYSTEM = Path("/")
UNLIMITED = 1 << 60
"""From here on a number in version 1 of control groups stands for none."""


def core_quota(system: Path = SYSTEM) -> float | None:
    """Cores that a control group grants, which may be a part of one; None where it sets no limit."""
    found = []
    for folder in _groups(system, "cpu"):
        if len(words := _words(folder / "cpu.max")) == 2 and words[0].isdigit():
            found.append(int(words[0]) / int(words[1]))
        quota, period = (_words(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
        if quota and period and quota[0].isdigit():
            found.append(int(quota[0]) / int(period[0]))
    return min(found, default=None)


def memory_limit(system: Path = SYSTEM) -> int | None:
    """Bytes that a control group grants; None where it sets no limit."""
    names = ("memory.max", "memory.limit_in_bytes")
    limits = [_words(folder / name) for folder in _groups(system, "memory") for name in names]
    numbers = [int(words[0]) for words in limits if words and words[0].isdigit()]
    return min((number for number in numbers if number < UNLIMITED), default=None)


def memory_free(system: Path = SYSTEM) -> int | None:
    """Bytes that programs can still have; None where the system does not say (on macOS)."""
    for line in _lines(system / "proc/meminfo"):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _groups(system: Path, kind: str) -> Iterator[Path]:
    """The folders of this process's control group and those above it, in version 2 and in version 1."""
    root = system / "sys/fs/cgroup"
    for line in _lines(system / "proc/self/cgroup"):
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and kind not in controllers.split(","):
            continue
        folder = Path(os.path.normpath(path.lstrip("/") or "."))
        for place in (folder, *folder.parents):
            yield root / (kind if controllers else "") / place


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
