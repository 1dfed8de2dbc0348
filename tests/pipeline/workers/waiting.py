"""A work that never ends, apart from others, so that a process that does it starts soon."""

import signal
from typing import Any


def waits(_: Any) -> None:
    """Until somebody ends it."""
    signal.pause()
