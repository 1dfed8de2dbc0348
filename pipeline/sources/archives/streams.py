"""Compressed bytes, read forward in bounded memory and verified to their last checksum."""

import bz2
import os
import tempfile
import weakref
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from lzma import LZMADecompressor, LZMAError
from typing import BinaryIO, Protocol

CHUNK = 2**18
"""Bytes that are read, and at most unpacked, at once."""

MOST_MEMORY = 2**29
"""What an xz or LZMA stream may ask for its window; `xz -9` asks for 65 MiB."""

SMALL = 2**16
SEGMENT = 2**26


class DamagedError(Exception):
    """What an archive says it holds and does not give; the message says where."""


def read_at(file: BinaryIO, size: int, offset: int) -> bytes:
    """Up to ``size`` bytes at ``offset``; safe in threads.

    Raises:
        DamagedError: the disk does not give them.
    """
    try:
        return os.pread(file.fileno(), size, offset)
    except OSError as error:
        raise DamagedError(f"byte {offset:,} cannot be read ({error.strerror})") from None


class Decompressor(Protocol):
    """What :mod:`bz2` and :mod:`lzma` call a decompressor."""

    @property
    def eof(self) -> bool:
        """The stream's end was reached, and its checksum is right."""
        ...

    @property
    def needs_input(self) -> bool:
        """Nothing more can be unpacked of what it was given."""
        ...

    @property
    def unused_data(self) -> bytes:
        """What was given beyond the stream's end."""
        ...

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Up to ``max_length`` more bytes."""
        ...


class Inflate:
    """zlib's decompressor with the interface of the others; ``wbits`` as :func:`zlib.decompressobj` has it."""

    def __init__(self, wbits: int) -> None:
        self._zlib = zlib.decompressobj(wbits)

    @property
    def eof(self) -> bool:
        """See :class:`Decompressor`."""
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        """See :class:`Decompressor`."""
        return not self._zlib.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        """See :class:`Decompressor`."""
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """See :class:`Decompressor`."""
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)


STREAMS: dict[bytes, tuple[str, Callable[[], Decompressor]]] = {
    b"\x1f\x8b": ("gzip", lambda: Inflate(31)),
    b"BZh": ("bzip2", bz2.BZ2Decompressor),
    b"\xfd7zXZ": ("xz", lambda: LZMADecompressor(memlimit=MOST_MEMORY)),
    b"\x5d\x00\x00": ("LZMA", lambda: LZMADecompressor(memlimit=MOST_MEMORY)),
}
"""By their first bytes: the name of a compression and what unpacks one stream of it."""


def unpacked(decompressor: Decompressor, data: bytes, more: Callable[[], bytes]) -> Iterator[bytes]:
    """One compressed stream that begins with ``data`` and goes on with what ``more`` gives, in pieces of up to CHUNK.

    Raises:
        DamagedError: it cannot be unpacked, or ``more`` gives nothing before its end.
    """
    try:
        while not decompressor.eof:
            if not data and decompressor.needs_input and not (data := more()):
                raise DamagedError("it is cut short")
            piece = decompressor.decompress(data, CHUNK)
            data = b""
            if piece:
                yield piece
    except (zlib.error, LZMAError, OSError, EOFError, ValueError, MemoryError) as error:
        raise DamagedError(str(error) or type(error).__name__) from None


class Stream:
    """The bytes that a compressed file unpacks to, read forward alone. Streams one after the other count as one."""

    def __init__(self, file: BinaryIO) -> None:
        """``file`` is read by position, so that several streams can share it."""
        self._file = file
        start = read_at(file, 16, 0)
        self.name, self._new = next(STREAMS[magic] for magic in STREAMS if start.startswith(magic))
        self._read = 0
        self._pieces = self._unpacked()
        self._piece = b""
        self._start = 0

    @property
    def end(self) -> int:
        """How many bytes were unpacked so far."""
        return self._start + len(self._piece)

    def at(self, offset: int, size: int) -> bytes:
        """``size`` bytes at ``offset``, or as many as there are; no byte before the last call's can be had again.

        Raises:
            DamagedError: the file is no whole stream of its compression, up to the checksum at its end.
        """
        begin = offset - self._start
        if begin >= 0 and begin + size <= len(self._piece):
            return self._piece[begin : begin + size]
        return b"".join(self.pieces(offset, size))

    def pieces(self, offset: int, size: int) -> Iterator[bytes]:
        """As :meth:`at`, in pieces of up to CHUNK."""
        assert offset >= self._start, "a stream is read forward alone"
        while size and self._reaches(offset):
            begin = offset - self._start
            piece = self._piece[begin : begin + size]
            yield piece
            offset += len(piece)
            size -= len(piece)

    def _reaches(self, offset: int) -> bool:
        while self.end <= offset:
            piece = next(self._pieces, b"")
            self._start = self.end
            self._piece = piece
            if not piece:
                return False
        return True

    def _unpacked(self) -> Iterator[bytes]:
        data = self._more()
        while data:
            decompressor = self._new()
            try:
                yield from unpacked(decompressor, data, self._more)
            except DamagedError as error:
                raise DamagedError(f"its {self.name} stream breaks at or before byte {self._read:,}: {error}") from None
            data = decompressor.unused_data.lstrip(b"\0")  # tapes and xz pad with zeros
            while not data and (data := self._more()):
                data = data.lstrip(b"\0")

    def _more(self) -> bytes:
        data = read_at(self._file, CHUNK, self._read)
        self._read += len(data)
        return data


class Spool:
    """Keeps what a stream gives until it is asked for: small files in memory, larger ones in unnamed files on disk.

    A stream gives its files in its own order, and those who decode them may be some hundred files behind.
    """

    def __init__(self) -> None:
        self._segment = _Segment()

    def keep(self, pieces: Iterator[bytes], size: int) -> Callable[[], bytes]:
        """A function that gives the bytes of ``pieces``, which are ``size`` in all."""
        if size <= SMALL:
            return partial(bytes, b"".join(pieces))
        if self._segment.size > SEGMENT:
            self._segment = _Segment()
        return self._segment.keep(pieces)


class _Segment:
    """An unnamed file; its disk space is free again when the last function that reads from it is gone."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        self.size = 0

    def keep(self, pieces: Iterator[bytes]) -> Callable[[], bytes]:
        begin = self.size
        for piece in pieces:
            self.size += self._file.write(piece)
        self._file.flush()
        return partial(self._read, self.size - begin, begin)

    def _read(self, size: int, offset: int) -> bytes:
        return os.pread(self._file.fileno(), size, offset)
