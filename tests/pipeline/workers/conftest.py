"""A cluster of each engine, with two workers, for all tests of a file."""

import os
from collections.abc import Iterator

import pytest

from pipeline.params import WorkersParams

ENGINES = ("local", "dask", "ray")


@pytest.fixture(scope="module")
def dask_address() -> Iterator[str]:
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as cluster:
        yield cluster.scheduler_address


@pytest.fixture(scope="module")
def ray_address() -> Iterator[str]:
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "tests" * 8}
    from ray.cluster_utils import Cluster

    started = {
        "num_cpus": 2,
        "include_dashboard": False,
        "object_store_memory": 100 << 20,
        "node_ip_address": "127.0.0.1",
    }
    cluster = Cluster(initialize_head=True, head_node_args=started)
    yield cluster.address
    cluster.shutdown()


@pytest.fixture(scope="module", params=ENGINES)
def params(request: pytest.FixtureRequest) -> WorkersParams:
    """Two workers of each engine in turn."""
    engine = request.param
    address = None if engine == "local" else request.getfixturevalue(f"{engine}_address")
    return WorkersParams(engine=engine, count=2, address=address)
