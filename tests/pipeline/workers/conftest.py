"""A cluster of each engine, with two workers, for all tests of a file."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.params import WorkersParams

ENGINES = ("local", "dask", "ray")


@pytest.fixture(scope="module")
def dask_address() -> Iterator[str]:
    import dask
    from distributed import LocalCluster

    few = dask.config.set({"distributed.scheduler.allowed-failures": 1})
    with few, LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as cluster:
        yield cluster.scheduler_address


@pytest.fixture(scope="module")
def ray_address() -> Iterator[str]:
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "tests" * 8}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ray = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", f"--port={port}", "--num-cpus=2"]
    ray += ["--node-ip-address=127.0.0.1", "--include-dashboard=false", "--object-store-memory=100000000"]
    process = subprocess.Popen(ray, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
    assert process.stdout is not None
    try:
        assert any("Ray runtime started" in line for line in process.stdout)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate()


@pytest.fixture(scope="module", params=ENGINES)
def params(request: pytest.FixtureRequest) -> WorkersParams:
    """Two workers of each engine in turn."""
    engine = request.param
    address = None if engine == "local" else request.getfixturevalue(f"{engine}_address")
    return WorkersParams(engine=engine, count=2, address=address)
