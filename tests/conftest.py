"""What every test shares: one thread, so that tests may run side by side, and nothing sent anywhere."""

import os
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from xdist.scheduler import LoadFileScheduling

from tests.s3_server import s3, s3_server  # noqa: F401  (fixtures)
from tests.ssh_server import ssh  # noqa: F401

os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")

SERVER = "tests/e2e/prefect"  # one server, one set of deployments
# the longest first, so that no process works alone at the end; the project of ``e2e`` is ready when its turn comes
ORDER = (SERVER, "tests/gan", "tests/e2e")

SLOW = (
    "tests/benchmarks/test_faults.py",
    "tests/e2e/",
    "tests/gan/test_adain.py::test_digits_come_nearer_to_real_ones",
    "tests/gan/test_families.py::test_terms_of_the_critic_are_compiled_with_it",
    "tests/gan/test_health.py::test_a_",
    "tests/gan/test_low_images.py::test_the_compiled_step_equals_the_eager_one",
    "tests/gan/test_memory.py",
    "tests/gan/test_modes.py::test_r3_finds_all_25_gaussians_and_stays_on_them",
    "tests/gan/test_progressive.py::test_it_learns_digits",
    "tests/gan/test_r3.py::test_it_learns_digits",
    "tests/gan/test_ranks.py",
    "tests/gan/test_recipes.py",
    "tests/gan/test_stylegan2.py::test_digits_come_nearer_to_real_ones_with_the_missions_own_recipe",
    "tests/gan/test_trainer_options.py::test_the_compiled_step_equals_the_eager_one",
    "tests/pipeline/classifier/test_network.py::test_small_widths_are_trained_without_damage_to_memory",
    "tests/pipeline/evaluation/test_scoring.py",
    "tests/pipeline/experiment/test_effect.py::test_the_interval_covers_the_truth_and_finds_no_help_where_there_is_none",
    "tests/pipeline/flows/test_flows.py::test_flows_import_no_torch",
    "tests/pipeline/formats/test_labels.py",
    "tests/pipeline/ingest/test_memory.py",
    "tests/pipeline/metrics/test_fidelity.py",
    "tests/pipeline/metrics/test_quality.py",
    "tests/pipeline/report/test_browser.py",
    "tests/pipeline/sources/test_archive_bombs.py",
    "tests/pipeline/stages/",
    "tests/pipeline/test_atomic.py",
    "tests/pipeline/test_disk.py",
    "tests/pipeline/test_locale.py",
    "tests/pipeline/test_store.py::test_an_edited_range_of_grey_says_what_to_run",
    "tests/pipeline/training/",
    "tests/pipeline/workers/",
    "tests/test_contributing.py",
    "tests/test_standin.py",
)
"""What ``make check`` leaves out, by how a test's name begins: most of the time of ``make test``, few of its tests."""


class ByFile(LoadFileScheduling):
    """The tests of a file in one process; those with a Prefect server all in one."""

    def _split_scope(self, nodeid: str) -> str:
        return SERVER if nodeid.startswith(f"{SERVER}/") else str(super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile | None:
    """How ``-n`` with ``--dist loadfile`` deals the tests out."""
    return ByFile(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The order in which files are dealt out, see :data:`ORDER`, otherwise that of their names; and what is slow."""
    items.sort(key=lambda item: _turn(item.nodeid, ORDER))
    for item in items:
        if item.nodeid.startswith(SLOW):
            item.add_marker(pytest.mark.slow)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Says what was left out, where that is so."""
    if config.getoption("markexpr") == "not slow":
        terminalreporter.section("left out, since slow: make test runs all")
        for name in SLOW:
            terminalreporter.line(name)


def _turn(nodeid: str, order: Sequence[str]) -> int:
    return next((turn for turn, folder in enumerate(order) if nodeid.startswith(f"{folder}/")), len(order))


@pytest.fixture(autouse=True, scope="session")
def _threads() -> None:
    torch.set_num_threads(1)
