"""What an earlier run left for the next one: taken up if it is whole, else made anew."""

from collections.abc import Callable
from pathlib import Path

from pipeline.atomic import remove
from pipeline.progress import say
from pipeline.reading.documents import fault


def usable(path: Path, look: Callable[[], object], anew: str) -> bool:
    """Whether what lies at ``path`` can be used; what is damaged or does not fit is said, and removed.

    Args:
        look: opens it, or raises OSError or ValueError.
        anew: what happens instead, such as "making it anew".
    """
    try:
        look()
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as error:
        reason = fault(error)
        say(f"{reason if str(path) in reason else f'{path}: damaged ({reason})'}; {anew}")
        remove(path)
        return False
    return True
