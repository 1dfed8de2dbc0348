"""Labels that are text, as class numbers."""

import re
import unicodedata
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from pipeline.errors import UserError
from pipeline.sources.base import class_names, look_of, trimmed
from pipeline.sources.tables.columns import say

MISSING = frozenset({"nan", "nat", "<na>", "null", "#n/a"})
"""What programs write for a value that is not there, in lower case; ``NA`` and ``none`` are names of classes too."""
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Texts:
    """A column of few different texts: each is kept once, and a row is its number.

    Attributes:
        texts: every text, in the order in which they came, to its number.
        codes: int32, one a row.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        self.texts: dict[str, int] = {}
        self.codes: array[int] = array("i")
        for value in values:
            self.add(value)

    def add(self, text: str) -> None:
        """One more row."""
        self.codes.append(self.texts.setdefault(text, len(self.texts)))

    def first(self, code: int) -> int:
        """The first row that says ``code``."""
        return self.codes.index(code)


def number_labels(
    column: Texts, numeric: bool, path: Path, place: Callable[[int], str]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels int64 (N,) and the class names: text as it is written, in the order of text (``10`` before ``9``).

    Spaces around a label do not count, and composed and decomposed letters are the same: both are said.

    Args:
        column: what each row says.
        numeric: the labels are whole numbers, which sort as such.
        path: the table, for messages.
        place: how messages call a row.

    Raises:
        UserError: a label is missing, holds a control character, or cannot name a class.
    """
    clean = [trimmed(unicodedata.normalize("NFC", text)) for text in column.texts]
    for code, name in enumerate(clean):
        if not name or CONTROL.search(name):
            trouble = f"the label {name!r} holds a line break or control character" if name else "has no label"
            remedy = "write it without" if name else "fill it in or take the row out"
            raise UserError(f"data.path: {path}: {place(column.first(code))} {trouble}; {remedy}")
    names = sorted(set(clean), key=int) if numeric else sorted(set(clean))
    number = {name: label for label, name in enumerate(names)}
    codes = np.array(column.codes, np.int32)
    _say_doubts(list(column.texts), clean, np.bincount(codes, minlength=len(clean)), path)
    return np.array([number[name] for name in clean], np.int64)[codes], class_names(names, str(path))


def _say_doubts(texts: list[str], clean: list[str], counts: np.ndarray, path: Path) -> None:
    """Says which labels were taken for one, and which look alike and were not."""
    forms, alike = defaultdict(list), defaultdict(set)
    for code, name in enumerate(clean):
        forms[name].append(code)
        alike[look_of(name)].add(name)
    for name, codes in forms.items():
        if others := sum(int(counts[code]) for code in codes if texts[code] != name and len(codes) > 1):
            how = "with spaces or invisible signs around them, or in another Unicode form"
            say(path, f"{others:,} labels {name!r} {how}, count as that")
    for name, codes in forms.items():
        if name.casefold() in MISSING:
            count = sum(int(counts[code]) for code in codes)
            say(path, f"{count:,} rows have the label {name!r}, a class like others; take them out if they have none")
    for names in alike.values():
        if len(names) > 1:
            say(path, f"{', '.join(map(repr, sorted(names)))} are {len(names)} classes; make them one if they mean one")
