"""The exceptions that a user is meant to read."""

import errno
import os
import re

FULL = {errno.ENOSPC, errno.EDQUOT}


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
