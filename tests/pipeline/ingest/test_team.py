"""Images read by several processes: the same as by one, whatever they are, and nobody is left behind."""

import multiprocessing
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import UserError
from pipeline.ingest import reading, team
from pipeline.ingest.decode import Target
from pipeline.ingest.pixels import Pixels
from pipeline.ingest.reading import read_all
from pipeline.ingest.records import COLUMNS, Records
from pipeline.sources import Source
from pipeline.sources.archives import open_archive
from pipeline.sources.files import FolderSource
from tests.pipeline.image_files import saved

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux alone")

RNG = np.random.default_rng(0)
TARGET = Target(12, "auto", "crop", "auto")
LARGE = 300  # of images, the one that takes more room than a process beside the first has


def contents() -> list[bytes]:
    grey = [saved(RNG.integers(0, 256, (12, 12)).astype(np.uint8)) for _ in range(300)]
    colour = [saved(RNG.integers(0, 256, (12, 14, 3)).astype(np.uint8), format) for format in ("JPEG", "PNG", "BMP")]
    deep = [saved(RNG.integers(0, 4096, (12, 12)).astype(np.uint16)) for _ in range(5)]
    large = [saved(Image.new("L", (1500, 1500), 7)), saved(RNG.integers(0, 256, (1200, 1200)).astype(np.uint8))]
    bad = [b"", b"no image", grey[0][:60], saved(Image.new("L", (1500, 1500), 9))[:-40]]
    frames = [Image.new("L", (12, 12), level) for level in (3, 5)]
    several = [saved(frames[0], "GIF", save_all=True, append_images=frames[1:])]
    mixed = [*grey[:40], *colour, *bad, *grey[40:90], *deep, *several, *large, *grey[90:]]
    assert len(large[1]) > team.LARGEST_FILE
    return mixed


@pytest.fixture(scope="module", params=["folder", "zip"])
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Source:
    root = tmp_path_factory.mktemp("set")
    files = {f"{'ab'[index % 2]}/{index:04}.png": data for index, data in enumerate(contents())}
    if request.param == "zip":
        with zipfile.ZipFile(root / "set.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        return open_archive(root / "set.zip")
    for name, data in files.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(data)
    return FolderSource(root)


def read(source: Source, folder: Path, cores: int, monkeypatch: pytest.MonkeyPatch) -> tuple[Records, np.ndarray]:
    monkeypatch.setattr(reading, "usable_cores", lambda: cores)
    monkeypatch.setattr(reading, "PROCESSES_PAY_ABOVE", 1e-9)
    monkeypatch.setattr(reading, "THREADS_PAY_ABOVE", 1e9)
    monkeypatch.setattr(reading, "AT_ONCE", 4)
    monkeypatch.setattr(reading, "MOST_AT_ONCE", 4)
    with Pixels(folder / "pixels", len(source.listing), TARGET) as pixels:
        records = read_all(source, pixels, TARGET, 1.0)
        rows = np.flatnonzero(records.usable & ~records.depth["deep"])
        deep = pixels.read_deep(np.flatnonzero(records.usable & records.depth["deep"]))
        found = pixels.read(rows, records.grey, 3)
    assert not multiprocessing.active_children()
    return records, np.concatenate([found.ravel(), deep.ravel().view(np.uint8)])


@pytest.mark.parametrize("most_left", [0.0, 1.0])
def test_any_number_of_processes_reads_the_same(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most_left: float
) -> None:
    """Whether they go on to the end, or are sent away at the first images that are too large for them."""
    expected, pixels = read(source, tmp_path, 1, monkeypatch)
    assert len(expected.reasons) == 4
    assert expected.passed.total() == 1
    asked = []
    original = team.Team.__init__
    monkeypatch.setattr(team.Team, "__init__", lambda self, *args: (asked.append(args[0]), original(self, *args))[1])
    monkeypatch.setattr(team, "MOST_LEFT", most_left)
    for cores in (2, 4):
        found, others = read(source, tmp_path, cores, monkeypatch)
        np.testing.assert_array_equal(others, pixels)
        for name in COLUMNS:
            assert getattr(found, name).tobytes() == getattr(expected, name).tobytes(), name
        assert found.reasons == expected.reasons
        assert found.passed == expected.passed
    assert asked == [1, 3]


def test_what_a_lost_process_was_to_do_is_done_here(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, pixels = read(source, tmp_path, 1, monkeypatch)
    original, here = team._answer, os.getpid()

    def answer(tasks: list[team.Task], reader: team.Reader) -> team.Answer | None:
        if tasks[0][0] > 60:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(tasks, reader)

    monkeypatch.setattr(team, "_answer", answer)
    found, others = read(source, tmp_path, 3, monkeypatch)
    np.testing.assert_array_equal(others, pixels)
    assert found.reasons == expected.reasons
    assert os.getpid() == here


def test_an_error_of_another_process_is_raised_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for index in range(200):
            data = saved(RNG.integers(0, 256, (12, 12)).astype(np.uint8))
            archive.writestr(f"{'ab'[index % 2]}/{index:04}.png", data)
    source = open_archive(tmp_path / "set.zip")
    raw = bytearray((tmp_path / "set.zip").read_bytes())
    raw[raw.find(b"IDAT", len(raw) // 2) + 8] ^= 1
    (tmp_path / "set.zip").write_bytes(raw)
    for cores in (1, 3):
        source = open_archive(tmp_path / "set.zip")
        with pytest.raises(UserError, match=r"the archive is damaged: the member .* its size or checksum is wrong"):
            read(source, tmp_path, cores, monkeypatch)
        assert not multiprocessing.active_children()


READ = """
import os, sys
from pathlib import Path
from pipeline.ingest import reading, team
from pipeline.ingest.decode import Target
from pipeline.sources.files import FolderSource

reading.usable_cores = lambda: 3
reading.PROCESSES_PAY_ABOVE, reading.AT_ONCE, reading.MOST_AT_ONCE = 1e-9, 1, 1
root = Path(sys.argv[1])
original, here, line = reading.decode_plain, os.getpid(), os.dup(0)

def decode_plain(data, target):
    if os.getpid() != here:  # the others alone: this one waits for them
        os.write(1, b"%d\\n" % os.getpid())  # in one piece
        os.read(line, 1)  # until the test lets go of the other end
    return original(data, target)

reading.decode_plain = decode_plain
source, target = FolderSource(root / "set"), Target(12, "auto", "crop", "auto")
with reading.Pixels(root / "pixels", len(source.listing), target) as pixels:
    reading.read_all(source, pixels, target, 1.0)
"""


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_nobody_is_left_behind(tmp_path: Path, sent: signal.Signals) -> None:
    for index in range(40):
        path = tmp_path / "set" / "ab"[index % 2] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(saved(RNG.integers(0, 256, (12, 12)).astype(np.uint8)))
    command = [sys.executable, "-c", READ, str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    ) as started:
        assert started.stdin and started.stdout
        others = {int(started.stdout.readline()) for _ in range(2)}
        assert len(others) == 2
        if sent == signal.SIGINT:  # of a terminal: to all of them
            os.killpg(started.pid, sent)
            assert started.wait(timeout=60) != 0
        else:
            started.kill()
        started.stdin.close()
        rest = started.stdout.read()  # ends when the last of them is gone
    assert rest.count(b"Traceback") == (sent == signal.SIGINT)
