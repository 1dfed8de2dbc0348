"""Columns are what pyarrow makes of the same values, to the byte of the file, and are made without pandas."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.columns import column, numbers, texts

VALUES = {
    pa.string(): ["a", None, "", "naïve 猫", "b" * 300],
    pa.binary(): [b"\x89PNG\0", b"", None],
    pa.bool_(): [True, False, None, True, True, False, True, False, True],
    pa.int32(): [0, -1, None, 2**31 - 1],
    pa.int64(): [0, -1, None, 2**63 - 1],
    pa.float64(): [0.1, None, float("inf"), -0.0],
    pa.list_(pa.field("element", pa.string(), nullable=False)): [["a", "b"], None, [], ["c"]],
}


@pytest.mark.parametrize("kind", VALUES, ids=str)
@pytest.mark.parametrize("missing", [True, False], ids=["gaps", "whole"])
def test_a_column_is_pyarrows(kind, missing, tmp_path):
    values = [value for value in VALUES[kind] if missing or value is not None]
    ours, theirs = column(values, kind), pa.array(values, kind)
    ours.validate(full=True)
    assert ours.equals(theirs)
    assert ours.null_count == theirs.null_count
    for name, made in (("ours", ours), ("theirs", theirs)):
        pq.write_table(pa.table({"column": made}), tmp_path / name)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


@pytest.mark.parametrize("kind", VALUES, ids=str)
def test_a_column_may_be_empty(kind):
    assert column([], kind).equals(pa.array([], kind))


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float64])
def test_numbers_may_lie_in_an_array_with_gaps(dtype):
    values = np.arange(20, dtype=dtype)[::2]
    missing = values > 10
    assert numbers(values, missing).equals(pa.array(values, mask=missing))


def test_another_type_is_refused():
    with pytest.raises(KeyError):
        column([1], pa.int8())


def test_pandas_is_not_loaded():
    code = "import sys; from pipeline.columns import texts; texts(['a', None]); print('pandas' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"
    assert texts(["a", None]).to_pylist() == ["a", None]
