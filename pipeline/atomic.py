"""Outputs that are the last good ones or the new ones: never half of one, and never some of each.

While outputs are written, a journal beside the first of them names them all, locked by the process that writes. The
new ones are written beside the old ones and swapped by renames; the journal says when that begins. So whatever a
killed process leaves, the next one brings to its end: :func:`recover` forward if the swap had begun, else back.

After a loss of power the same holds: journal, figures, and folders of up to :data:`SYNCED` files are on the disk before
the swap begins. Larger folders are left for the system to write in its own time, as waiting for each file would take
longer than to make them again; their damage shows in ``dvc status`` and ``augmint verify``.
"""

import errno
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from pipeline.errors import BusyError
from pipeline.locks import take

SYNCED = 256  # a second's work, on a slow disk a few
JOURNALS = ".*.swap.part"
WRITING, FORWARD, BACK = "w", "f", "b"  # the journal's first byte, so that it changes at once or not at all
LARGEST_JOURNAL = 1 << 16


@contextmanager
def replacing(*targets: Path) -> Iterator[tuple[Path, ...]]:
    """Yields one not yet existing path a target, in the target's own folder; moves them into place at the end.

    The body writes a file or makes a folder at each. If it raises, or a move fails, the targets stay as they were and
    what had been written is removed; :func:`recover` does the same for what a killed process left. A target that is a
    link is replaced, and what it leads to stays as it is. What the body printed has arrived before anything moves: who
    cannot be told what was left out keeps the outputs that were there.

    Raises:
        BusyError: another process is writing the first of the targets.
        FileNotFoundError: the body left one of the paths unwritten; no target has been touched.
    """
    outputs = [_Output(target) for target in targets]
    for target in targets:
        target.parent.mkdir(parents=True, exist_ok=True)
    with _journal(targets[0]) as journal:
        try:
            journal.begin(outputs)
            yield tuple(output.part for output in outputs)
            for output in outputs:
                if not _there(output.part):
                    raise FileNotFoundError(errno.ENOENT, "was not written", str(output.part))
            flush_said()
            _swap(journal)
        except BaseException:
            if journal.phase == FORWARD:
                journal.say(BACK)
            raise
        finally:
            journal.finish()


def recover(folders: Iterable[Path]) -> list[Path]:
    """Puts right what killed processes left of outputs in ``folders``; what a living one has in work is left alone.

    Returns:
        The outputs of swaps that had begun: they are all the new ones now, or all the old ones where a move failed.

    Raises:
        OSError: it cannot be done, as where a folder is read-only.
    """
    begun: list[Path] = []
    for path in [path for folder in folders for path in sorted(folder.glob(JOURNALS))]:
        try:
            file = take(path)
        except OSError:
            continue  # no journal, or not this user's
        if file is None:
            continue
        try:
            journal = _Journal(path, file)
            begun += [output.target for output in journal.outputs if journal.phase != WRITING]
            if journal.outputs or not os.fstat(file).st_size:  # else it is another's
                journal.finish()
        finally:
            os.close(file)
    return begun


def remove(path: Path) -> None:
    """Removes a file, a link or a whole folder, also a read-only one; nothing there is fine."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    try:
        shutil.rmtree(path)
    except PermissionError:
        for folder, _, _ in os.walk(path):
            Path(folder).chmod(0o700)
        shutil.rmtree(path)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes ``content`` with sorted keys and a final newline, so that equal figures are equal bytes.

    Raises:
        ValueError: a figure is NaN or infinite, which JSON cannot say; use ``None``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8")


@dataclass(frozen=True)
class _Output:
    """One target of a swap; every step can be taken again after a kill."""

    target: Path

    @property
    def part(self) -> Path:
        return self.target.with_name(f".{self.target.name}.part")

    @property
    def old(self) -> Path:
        return self.target.with_name(f".{self.target.name}.old.part")

    def forward(self) -> None:
        """Puts the new one into place, unless it is there."""
        if not _there(self.part):
            return
        if _there(self.target):
            remove(self.old)
            self.target.rename(self.old)
        self.part.rename(self.target)

    def back(self) -> None:
        """Puts the old one into place, unless it is there; the new one is a part again."""
        if _there(self.target) and not _there(self.part):
            self.target.rename(self.part)
        if _there(self.old):
            self.old.rename(self.target)

    def clear(self) -> None:
        """Removes all but the target. What cannot be removed stays, and is in nobody's way until the next swap."""
        if _there(self.old) and not _there(self.target):
            self.old.rename(self.target)  # a version without journals was killed here
        for rest in (self.part, self.old):
            with suppress(OSError):
                remove(rest)


class _Journal:
    """What is in work, and how far it is: the phase in one byte, then JSON with the PID and the outputs' paths.

    Attributes:
        outputs: none if the file is empty or no journal.
        phase: :data:`FORWARD` and :data:`BACK` while outputs move, else :data:`WRITING`.
    """

    def __init__(self, path: Path, file: int) -> None:
        self.path, self._file = path, file
        self._folder = Path(os.path.realpath(path.parent))
        self.phase, self.outputs = WRITING, list[_Output]()
        text = os.pread(file, LARGEST_JOURNAL, 0).decode(errors="replace")
        with suppress(ValueError, KeyError, TypeError):
            self.outputs = [_Output(self._folder / name) for name in json.loads(text[1:])["outputs"]]
            self.phase = text[0]

    def begin(self, outputs: list[_Output]) -> None:
        """Names what is to be written, and makes room for it."""
        self._finish()  # what was killed after the last look
        # relative, as a folder may be moved; by real paths, as ".." does not lead back through a link
        places = [Path(os.path.realpath(output.target.parent), output.target.name) for output in outputs]
        names = [os.path.relpath(place, self._folder) for place in places]
        text = WRITING + json.dumps({"pid": os.getpid(), "outputs": names})
        os.truncate(self._file, 0)
        with open(self._file, "wb", closefd=False) as file:
            file.write(text.encode())
        self.phase, self.outputs = WRITING, outputs
        for output in outputs:
            output.clear()

    def say(self, phase: str) -> None:
        """Writes the phase, and waits until it is on the disk."""
        os.pwrite(self._file, phase.encode(), 0)
        os.fsync(self._file)
        self.phase = phase

    def forward(self) -> None:
        """Puts all new ones into place."""
        for output in self.outputs:
            output.forward()

    def finish(self) -> None:
        """Ends what is named, forward or back, and removes the journal."""
        self._finish()
        self.path.unlink(missing_ok=True)

    def _finish(self) -> None:
        if self.phase == FORWARD:
            try:
                self.forward()
            except OSError:
                self.say(BACK)
        if self.phase == BACK:
            for output in self.outputs:
                output.back()
            self.say(WRITING)  # from here on nothing may be taken back again
        for output in self.outputs:
            output.clear()


@contextmanager
def _journal(target: Path) -> Iterator[_Journal]:
    path = target.with_name(f".{target.name}.swap.part")
    file = take(path)
    if file is None:
        pid = _pid(path)
        raise BusyError(f"{target}: another process is writing it (PID {pid}); wait for its end, or stop it")
    try:
        yield _Journal(path, file)
    finally:
        os.close(file)


def _pid(path: Path) -> str:
    try:
        return str(json.loads(path.read_bytes()[1:])["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return "not known yet"


def _swap(journal: _Journal) -> None:
    """Moves every part into place."""
    first, *others = journal.outputs
    folders = {output.target.parent for output in journal.outputs}
    for output in journal.outputs:
        _sync_all(output.part)
    for folder in folders:
        _sync(folder)
    if not others and not first.part.is_dir() and not first.target.is_dir():
        first.part.replace(first.target)  # a file alone: the system does it in one step
    else:
        journal.say(FORWARD)
        journal.forward()
    for folder in folders:
        _sync(folder)


def flush_said() -> None:
    """Waits until what was printed has arrived.

    Raises:
        OSError: it cannot be written, as to a file on a full disk, or to a reader that has ended.
    """
    for stream, name in ((sys.stdout, "standard output"), (sys.stderr, "standard error")):
        try:
            if stream is not None:
                stream.flush()
        except OSError as error:
            raise type(error)(error.errno, error.strerror, name) from None


def _sync_all(path: Path) -> None:
    """Waits until a file, or a folder of no more than :data:`SYNCED` files, is on the disk."""
    found = [path, *islice(path.rglob("*"), SYNCED + 1)]
    for each in found if len(found) <= SYNCED else ():
        _sync(each)


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems sync no folders
            raise
    finally:
        os.close(file)


def _there(path: Path) -> bool:
    """Whether there is anything, be it a link that leads nowhere."""
    return os.path.lexists(path)
