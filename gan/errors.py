"""What is told of an error that is no end."""


def first_line(error: Exception) -> str:
    """What an error says, its first line alone, as torch's go on for pages; its type's name if it says nothing.

    >>> first_line(RuntimeError("out of memory\\nat ..."))
    'out of memory'
    """
    return str(error).strip().split("\n")[0] or type(error).__name__
