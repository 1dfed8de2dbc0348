"""What a finished fold says of itself, beside its answers: ``study/folds/<fold>/``."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.errors import UserError
from pipeline.reading.arrays import open_array
from pipeline.reading.documents import Document, load

ROWS = "test_rows.npy"
FACTS = "fold.json"


class Facts(Document):
    """The content of ``fold.json``."""

    fold: str
    planned: list[str]
    gates_failed: list[str]
    images: dict[str, int]
    verdict: str


class FoldRecord(NamedTuple):
    """A fold's own account.

    Attributes:
        rows: its test images' rows in the project's store, int64 (N,).
        planned: the endpoints that were named before it was trained.
        gates_failed: figures whose gates its synthetic images did not pass.
        images: of each split.
        verdict: its own.
    """

    rows: np.ndarray
    planned: list[str]
    gates_failed: list[str]
    images: dict[str, int]
    verdict: str


def read_fold(folder: Path) -> FoldRecord:
    """What a fold left.

    Raises:
        UserError: it is not there, or not whole.
    """
    try:
        content = load(folder / FACTS)
        facts = Facts.model_validate(content)
        rows = np.array(open_array(folder / ROWS, np.int64, (None,)))
    except (OSError, ValueError) as error:
        raise UserError(f"{folder}: not what a fold leaves ({error}); remove it and run `augmint study`") from None
    return FoldRecord(rows, facts.planned, facts.gates_failed, facts.images, facts.verdict)
