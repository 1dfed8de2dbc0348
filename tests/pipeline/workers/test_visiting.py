"""A worker of a cluster, in this process: what it looks at before it works, and how a work comes to it."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.errors import UserError
from pipeline.reading.sharded import ShardedArray
from pipeline.workers import visiting
from tests.pipeline.workers.works import Leaves


def test_a_worker_that_joins_later_looks_around_before_it_works(tmp_path: Path) -> None:
    (tmp_path / "mark").write_text("mine", encoding="utf-8")
    visit = visiting.Visit.of(Leaves(tmp_path), tmp_path / "mark", "dask")
    for other in (
        replace(visit, versions=visiting.versions() | {"torch": "0.0.1"}),
        replace(visit, text="another"),
        replace(visit, digest="0" * 64),
    ):
        outcome = visiting.do(other, 3)
        assert isinstance(outcome.error, UserError) and "set workers.engine: local" in str(outcome.error)
    assert not list(tmp_path.glob("given-*"))
    assert visiting.do(visit, 3).error is None and (tmp_path / "given-3").exists()


def test_arrays_in_files_go_to_workers_by_their_place(tmp_path: Path) -> None:
    values = np.arange(3 << 18).reshape(-1, 4)
    np.save(tmp_path / "values.npy", values)
    mapped = np.load(tmp_path / "values.npy", mmap_mode="r")
    joined = ShardedArray([mapped[2:7], mapped[100:]]).span(3, 20)
    given = (mapped, mapped[5:9], mapped[5:][2:4], mapped[:, 1:3], joined)
    packed = visiting.packed(given)
    assert len(packed) < values.nbytes  # but for columns, which lie in no place of their own
    found = pickle.loads(packed)
    for one, other in zip(found, given, strict=True):
        assert np.array_equal(np.asarray(one), np.asarray(other))
    assert [isinstance(one, np.memmap) for one in found[:3]] == [True] * 3
    assert len(visiting.packed(joined)) < 1000
