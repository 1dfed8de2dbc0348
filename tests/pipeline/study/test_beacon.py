"""A process ends when nobody waits for it any more, and not before."""

import signal
import threading
from pathlib import Path

import pytest

from pipeline.study import beacon


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set when this process would be ended; looks come quickly."""
    found = threading.Event()
    monkeypatch.setattr(beacon, "SECONDS", 0.01)
    monkeypatch.setattr("os.kill", lambda _, number: found.set() if number == signal.SIGTERM else None)
    return found


def test_it_ends_when_the_beacon_is_gone(ended: threading.Event, tmp_path: Path) -> None:
    beacon.beat(tmp_path / "beacon", 0)
    with beacon.ending_with(tmp_path / "beacon"):
        (tmp_path / "beacon").unlink()
        assert ended.wait(30)


def test_it_ends_when_the_beacon_is_silent(
    ended: threading.Event, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beacon, "SILENCE", 0.05)
    beacon.beat(tmp_path / "beacon", 0)
    with beacon.ending_with(tmp_path / "beacon"):
        assert ended.wait(30)


def test_a_beacon_that_beats_ends_nothing(ended: threading.Event, tmp_path: Path) -> None:
    beacon.beat(tmp_path / "beacon", 0)
    with beacon.ending_with(tmp_path / "beacon"):
        for number in range(20):
            beacon.beat(tmp_path / "beacon", number)
    (tmp_path / "beacon").unlink()
    assert not ended.wait(0.1)
