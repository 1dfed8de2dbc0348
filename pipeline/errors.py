"""The one exception that a user is meant to read."""


class UserError(Exception):
    """Something that the user can mend: the message says what was wrong, where, and what to do.

    The CLI prints the message without a traceback and exits with code 2.
    """
