"""Limits of containers, in the files that the two versions of control groups have."""

from pathlib import Path

import pytest

from pipeline.limits import core_quota, memory_free, memory_limit


def system(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_version_2_with_limits_above_and_below(tmp_path: Path) -> None:
    root = system(
        tmp_path,
        {
            "proc/self/cgroup": "0::/a/b\n",
            "sys/fs/cgroup/a/cpu.max": "150000 100000\n",
            "sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
            "sys/fs/cgroup/a/memory.max": "max\n",
            "sys/fs/cgroup/a/b/memory.max": "1073741824\n",
        },
    )
    assert (core_quota(root), memory_limit(root)) == (1.5, 2**30)


def test_within_a_container_its_own_group_is_the_root(tmp_path: Path) -> None:
    files = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "50000 100000", "sys/fs/cgroup/memory.max": "5"}
    assert (core_quota(system(tmp_path, files)), memory_limit(tmp_path)) == (0.5, 5)


def test_version_1(tmp_path: Path) -> None:
    root = system(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/docker/x\n3:cpu,cpuacct:/docker/x\n",
            "sys/fs/cgroup/cpu/docker/x/cpu.cfs_quota_us": "200000\n",
            "sys/fs/cgroup/cpu/docker/x/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes": "4096\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        },
    )
    assert (core_quota(root), memory_limit(root)) == (2.0, 4096)


@pytest.mark.parametrize("files", [{}, {"proc/self/cgroup": "0::/../../x\n"}, {"proc/self/cgroup": "rubbish\n"}])
def test_no_limit(files: dict[str, str], tmp_path: Path) -> None:
    assert (core_quota(system(tmp_path, files)), memory_limit(tmp_path), memory_free(tmp_path)) == (None, None, None)


def test_free_memory(tmp_path: Path) -> None:
    system(tmp_path, {"proc/meminfo": "MemTotal: 9 kB\nMemAvailable:    2048 kB\n"})
    assert memory_free(tmp_path) == 2048 * 1024
