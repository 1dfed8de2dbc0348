"""The exceptions that a user is meant to read."""

import errno
import os
import re
import traceback
from pathlib import Path

PACKAGES = Path(__file__).parents[1]  # where gan/ and pipeline/ lie
MOST_SAID = 300  # characters of an error that nobody foresaw
FULL = {errno.ENOSPC, errno.EDQUOT}
INTERRUPTED, TERMINATED = 130, 143  # what shells report for a program that SIGINT or SIGTERM ended


class UserError(Exception):
    """Something that the user can mend: the message says what was wrong, where, and what to do.

    The CLI prints the message without a traceback and exits with code 2.
    """

    exit_code = 2


class BusyError(UserError):
    """Something that passes by itself, such as a full GPU: worth trying again later.

    The CLI exits with code 75, which sysexits.h calls EX_TEMPFAIL; a flow runs the stage again.
    """

    exit_code = 75


class UnexpectedError(UserError):
    """A fault of augmint's own, for the user to report.

    The CLI exits with code 70, which sysexits.h calls EX_SOFTWARE.
    """

    exit_code = 70


def explained(error: Exception, command: str) -> UserError:
    """What a user should read of whatever ended a command.

    Args:
        command: its name, for who reports a fault of ours.
    """
    if isinstance(error, UserError):
        return error
    if _no_memory(error):
        return BusyError(
            f"{command}: not enough memory ({_first_line(error)}); close other programs, or lower data.image_size, or "
            "batch_size and width of train or classify, and run the same command again"
        )
    if isinstance(error, OSError):
        return as_user_error(error)
    return UnexpectedError(
        f"an unexpected error: {type(error).__name__}: {_first_line(error)}, in {_place(error)}; this is a fault of "
        f"augmint: please report it with the output of `augmint --debug {command}`"
    )


def as_user_error(error: OSError) -> UserError:
    """What a user should read of an error of the system: a :class:`BusyError` where a disk or a quota is full."""
    # some that gather several, such as shutil's, name the number in the text alone
    number = error.errno or next(map(int, re.findall(r"\[Errno (\d+)\]", str(error))), None)
    paths = [os.fsdecode(path) for path in (error.filename, error.filename2) if isinstance(path, str | bytes)]
    if number in FULL:
        where = paths[-1] if paths else f"the disk of {os.getcwd()}"  # noqa: PTH109
        return BusyError(
            f"{os.strerror(number).lower()}: {where}; free some space and run the same command again: it goes on from "
            "what is finished"
        )
    reason = error.strerror or str(error)
    return UserError(": ".join([*paths[-1:], reason]) + "; mend that and run the same command again")


def _no_memory(error: Exception) -> bool:
    """Whether memory ran out, as Python, NumPy, torch, the system or its loader of libraries say it."""
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return True
    return isinstance(error, RuntimeError | ImportError) and bool(
        re.search(r"alloc\w* memory|(out of|not enough) memory|failed to map segment", str(error))
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().split("\n")[0] or "without a word")[:MOST_SAID]


def _place(error: Exception) -> str:
    """The innermost line of our own that it came through: ``pipeline/store.py:88``."""
    frames = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    ours = [(file, line) for file, line in frames if file.is_relative_to(PACKAGES) and ".venv" not in file.parts]
    file, line = (ours or frames or [(PACKAGES, 0)])[-1]
    return f"{file.relative_to(PACKAGES) if ours else file}:{line}"
