"""Tables that are text: CSV and its relatives, as spreadsheets and scripts write them."""

import codecs
import csv
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TextIO

from pipeline.errors import UserError
from pipeline.sources.tables.columns import is_complete

DELIMITERS = ",;\t|"
LONGEST = 1 << 24
"""Characters of a line or a field, so that a file that is no table does not fill the memory."""

MARKS = {  # longest first: the mark of UTF-32 begins as that of UTF-16 does
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
SEPARATOR_LINE = re.compile(r"\"?sep=([^\s\"]|\t)\"?\s*", re.IGNORECASE)
"""What Excel takes for the delimiter, and writes, above the header."""

csv.field_size_limit(LONGEST)  # the module has one limit for all its readers; the default refuses a long report


class DelimitedTable:
    """A header and its rows, in UTF-8 or with a byte order mark; delimiter as the header shows.

    A row is known by its line, as an editor counts them: the header of most tables is line 1.

    Attributes:
        header: the names of the columns.

    Raises:
        UserError: not readable, not such text, or not well-formed.
    """

    unit = "line"
    numeric = False

    def __init__(self, path: Path, label: str = "") -> None:
        self.path, self._label = path, label
        self.header: list[str] = []
        self._delimiter, self._header_line = DELIMITERS[0], 0
        try:
            with path.open("rb") as file:
                start = file.read(4)
        except OSError as error:
            raise UserError(f"data.path: {path}: cannot be read ({error.strerror or error})") from None
        self._encoding = next((name for mark, name in MARKS.items() if start.startswith(mark)), "utf-8-sig")
        self._read_header()

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """The line on which each row begins, and its cells; blank lines are none."""
        return ((line, cells) for line, cells in self._records(self._delimiter) if line > self._header_line and cells)

    def _read_header(self) -> None:
        with self.path.open(encoding=self._encoding, newline="", errors="replace") as file:
            separator = SEPARATOR_LINE.fullmatch(file.readline(LONGEST))
        above = 1 if separator else 0
        malformed: _MalformedError | None = None
        for delimiter in separator.group(1) if separator else DELIMITERS:
            try:
                records = (
                    (line, cells) for line, cells in self._records(delimiter, "replace") if line > above and cells
                )
                line, header = next(records, (0, []))
            except _MalformedError as error:
                malformed = malformed or error  # quotation marks that may make sense with another delimiter
                continue
            if is_complete(header, self._label) or len(header) > len(self.header):
                self._delimiter, self._header_line, self.header = delimiter, line, header
            if is_complete(header, self._label):
                break
        if malformed and not self.header:
            raise malformed

    def _records(self, delimiter: str, errors: str = "strict") -> Iterator[tuple[int, list[str]]]:
        first = 1
        with self.path.open(encoding=self._encoding, errors=errors, newline="") as file:
            reader = csv.reader(self._lines(file), delimiter=delimiter, skipinitialspace=True, strict=True)
            try:
                for cells in reader:
                    yield first, cells
                    first = reader.line_num + 1
            except csv.Error as error:
                raise _MalformedError(
                    f"data.path: {self.path}: line {first}: not readable as CSV ({error}); mend its quotation marks"
                ) from None
            except UnicodeError:
                raise self._undecodable() from None

    def _lines(self, file: TextIO) -> Iterator[str]:
        for number, line in enumerate(iter(partial(file.readline, LONGEST), ""), 1):
            if "\0" in line:
                raise UserError(
                    f"data.path: {self.path}: line {number} holds a NUL character, which no path or label can; take it "
                    "out, or save the table as UTF-8 if it is UTF-16 or no text at all"
                )
            if len(line) == LONGEST:
                raise UserError(f"data.path: {self.path}: line {number} has over {LONGEST:,} characters; no table has")
            yield line

    def _undecodable(self) -> UserError:
        """What to say of the first byte that is no text; the reader itself does not know where in the file it was."""
        if self._encoding != "utf-8-sig":
            name = self._encoding.upper()
            return UserError(f"data.path: {self.path}: begins as {name} and does not go on so; save it as UTF-8")
        with self.path.open("rb") as file:
            for number, line in enumerate(iter(partial(file.readline, LONGEST), b""), 1):
                try:
                    line.decode()
                except UnicodeDecodeError as error:
                    return self._undecodable_byte(number, line[: error.start].decode(), line[error.start])
        return UserError(f"data.path: {self.path}: not UTF-8; save it as UTF-8")

    def _undecodable_byte(self, line: int, before: str, byte: int) -> UserError:
        lines = re.split("[\r\n]", before)  # of old Macs, which Python does not part in binary files
        cells = next(csv.reader([lines[-1]], delimiter=self._delimiter), []) or [""]
        column = len(cells) - 1
        name = repr(self.header[column]) if column < len(self.header) else str(column + 1)
        return UserError(
            f"data.path: {self.path}: line {line + len(lines) - 1}, column {name}: the byte 0x{byte:02X} after "
            f"{cells[-1][-30:]!r} is not UTF-8, and what letter it is cannot be told; save the table as UTF-8"
        )


class _MalformedError(UserError):
    """Quotation marks that do not fit the delimiter."""
