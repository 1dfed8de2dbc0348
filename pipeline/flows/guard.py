"""A process that runs a command in a session of its own and ends all of it when its holder goes, however that goes.

    python guard.py COMMAND...

Standard input is the pipe by which the holder holds it: when the pipe ends (the holder closed it, or was killed), and
on SIGTERM and SIGINT, the command's whole process group gets SIGINT, then SIGTERM, then SIGKILL. SIGTERM to ``dvc``
alone would leave its stage running, and a signal to the holder's group does not reach a guard in a session of its own.
What has left the group and lost its parent, such as a flow of a worker that was killed, is ended in the same way: on
Linux the guard adopts it.

Imports the standard library alone, so that it starts at once.
"""

import contextlib
import ctypes
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

# seconds after the end was asked for; Prefect kills what is left after 30, and the guard then goes on by itself
ESCALATION = ((0.0, signal.SIGINT), (10.0, signal.SIGTERM), (20.0, signal.SIGKILL))
CHUNK = 1 << 16
SECONDS_TO_DIE = 5.0  # of what the system is slow to end, such as a process that waits for a disk
PR_SET_CHILD_SUBREAPER = 36  # from linux/prctl.h: orphans below become this process's children


class Guard:
    """The command's group, and how far its ending has come."""

    def __init__(self, command: list[str]) -> None:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._wake, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, self._signalled)  # the command starts with the defaults again
        self._steps: Iterator[tuple[float, signal.Signals]] | None = None
        self._next: tuple[float, signal.Signals] | None = None
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
        )

    def run(self) -> int:
        """Passes the command's output on until all of it has ended; returns its exit code, negative for a signal."""
        assert self.process.stdout is not None
        output, holder = self.process.stdout.fileno(), sys.stdin.fileno()
        open_ended = True
        with selectors.DefaultSelector() as selector:
            for source in (output, holder, self._wake):
                selector.register(source, selectors.EVENT_READ)
            while not self._ended() or ((open_ended or self._orphans()) and not self._killed):
                ready = {key.fd for key, _ in selector.select(self._wait())}
                if output in ready and not _relay(output):
                    selector.unregister(output)
                    open_ended = False
                if self._wake in ready:
                    os.read(self._wake, CHUNK)
                if holder in ready and not os.read(holder, CHUNK):
                    selector.unregister(holder)
                    self.stop()
                if (self._orphans() or open_ended) and self._ended():
                    self.stop()  # what it left behind
                self._escalate()
        self._kill()
        return self.process.wait()

    def stop(self) -> None:
        """Begins to end the command; more calls change nothing."""
        if self._steps is None:
            began = time.monotonic()
            self._steps = iter([(began + after, number) for after, number in ESCALATION])
            self._next = next(self._steps)

    @property
    def _killed(self) -> bool:
        return self._steps is not None and self._next is None

    def _signalled(self, number: int, _: object) -> None:
        if number != signal.SIGCHLD:
            self.stop()

    def _wait(self) -> float | None:
        return max(0.0, self._next[0] - time.monotonic()) if self._next else None

    def _escalate(self) -> None:
        while self._steps is not None and self._next and time.monotonic() >= self._next[0]:
            self._signal(self._next[1])
            self._next = next(self._steps, None)

    def _ended(self) -> bool:
        """The command has ended but is not reaped: its number stays its own while the group is signalled."""
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.process.pid, flags) is not None

    def _orphans(self) -> list[int]:
        """What has been adopted and has not ended; what has ended is taken off the system's list."""
        try:
            children = Path("/proc/thread-self/children").read_text(encoding="ascii").split()
        except OSError:  # not on macOS
            return []
        return [one for one in map(int, children) if one != self.process.pid and os.waitpid(one, os.WNOHANG)[0] == 0]

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)
        for orphan in self._orphans():
            with contextlib.suppress(ProcessLookupError):
                leads = os.getpgid(orphan) == orphan
                (os.killpg if leads else os.kill)(orphan, number)

    def _kill(self) -> None:
        """Kills the group and, generation by generation, what is adopted when its parents end."""
        end = time.monotonic() + SECONDS_TO_DIE
        self._signal(signal.SIGKILL)
        while self._orphans() and time.monotonic() < end:
            self._signal(signal.SIGKILL)
            time.sleep(0.01)


def _relay(source: int) -> bool:
    """Passes on what is there; False at the end. A holder that is gone must neither block nor break the command."""
    data = os.read(source, CHUNK)
    left = data
    with contextlib.suppress(BrokenPipeError):
        while left:
            left = left[os.write(sys.stdout.fileno(), left) :]
    return bool(data)


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    code = Guard(sys.argv[1:]).run()
    sys.exit(code if code >= 0 else 128 - code)
