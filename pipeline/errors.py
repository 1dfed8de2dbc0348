"""The exceptions that a user is meant to read."""


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
