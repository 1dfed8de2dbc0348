"""What every test shares: one thread, so that tests may run side by side, and nothing sent anywhere."""

import os
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from xdist.scheduler import LoadFileScheduling

os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")

SERVER = "tests/e2e/prefect"  # one server, one set of deployments
# the longest first, so that no process works alone at the end; the project of ``e2e`` is ready when its turn comes
ORDER = (SERVER, "tests/gan", "tests/e2e")


class ByFile(LoadFileScheduling):
    """The tests of a file in one process; those with a Prefect server all in one."""

    def _split_scope(self, nodeid: str) -> str:
        return SERVER if nodeid.startswith(f"{SERVER}/") else str(super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile | None:
    """How ``-n`` with ``--dist loadfile`` deals the tests out."""
    return ByFile(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The order in which files are dealt out, see :data:`ORDER`; otherwise that of their names."""
    items.sort(key=lambda item: _turn(item.nodeid, ORDER))


def _turn(nodeid: str, order: Sequence[str]) -> int:
    return next((turn for turn, folder in enumerate(order) if nodeid.startswith(f"{folder}/")), len(order))


@pytest.fixture(autouse=True, scope="session")
def _threads() -> None:
    torch.set_num_threads(1)
