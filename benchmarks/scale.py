"""Ingest, train, export and verify at ten thousand, a hundred thousand and a million images: time, memory, disk.

    python benchmarks/scale.py [--million] [--real FOLDER] [--colour] [--noise LEVELS] [--folder SCRATCH] [--plain]

The images are real ones, over and over, each with noise of its own: scikit-learn's digits, brought to 32x32, or those
of a folder with one folder a class. They lie in Parquet shards, as on the Hugging Face Hub. Each step is a process of
its own, started by the command line that a user has. Printed are, for each step and size:

- seconds by the clock, and processor time of the step and of all processes that it started;
- the peak of memory: the most that all processes together held at a sample, once in 0.2 seconds, shared pages counted
  once (PSS of ``/proc/PID/smaps_rollup``), or what the system says of the largest one, if that is more (``ru_maxrss``).
  Pages of memory-mapped files are in both, though the system takes them back where memory is short: beside them stands
  what it cannot take back (anonymous memory);
- what the step left on the disk.

Last come the exponents of time and size, fitted over the sizes in logarithms, and the straight line through the times.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml
from PIL import Image
from rich.console import Console
from rich.table import Table

from pipeline.formats.base import Item
from pipeline.formats.encoding import Encoding, encode
from pipeline.formats.parquet import ParquetWriter

SIZES = (10_000, 100_000)
MILLION = 1_000_000
SIDE = 32
PART = 10_000  # images made at a time, a shard of the source
EVERY = 0.2  # seconds between samples of memory
MIB = 1 << 20
STEPS = ("ingest", "train", "export", "verify")
PLAIN = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}


class Took(NamedTuple):
    """What a step took.

    Attributes:
        seconds, processor: by the clock, and of all processes together.
        memory, anonymous: bytes, see the head of this file.
        disk: bytes that it left.
    """

    seconds: float
    processor: float
    memory: int
    anonymous: int
    disk: int


class Watching:
    """Samples the memory of a process and of all below it."""

    def __init__(self, pid: int) -> None:
        self.memory = self.anonymous = 0
        self._pid, self._over = pid, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the sampling."""
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(EVERY):
            found = [_held(pid) for pid in _below(self._pid)]
            self.memory = max(self.memory, sum(one[0] for one in found))
            self.anonymous = max(self.anonymous, sum(one[1] for one in found))


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--million", action="store_true", help="a million images too")
    parser.add_argument("--real", type=Path, help="a folder of real images, one folder a class")
    parser.add_argument("--colour", action="store_true", help="three channels, each with noise of its own")
    parser.add_argument("--noise", type=float, default=8.0, help="standard deviation in levels of 255")
    parser.add_argument("--minutes", type=float, default=1.0, help="of training")
    parser.add_argument("--folder", type=Path, help="where to work; removed in the end")
    parser.add_argument("--plain", action="store_true", help="without AVX-512, as most processors")
    options = parser.parse_args()
    if options.plain:
        os.environ.update(PLAIN)
    sizes = options.sizes + [MILLION] * options.million
    found: dict[int, dict[str, Took]] = {}
    for size in sizes:
        if options.folder:
            options.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            found[size] = measure(Path(folder), size, options)
    Console(width=120).print(_table(found))
    for line in _fits(found):
        print(line)


def measure(folder: Path, size: int, options: argparse.Namespace) -> dict[str, Took]:
    """All steps on ``size`` images in ``folder``."""
    began = time.perf_counter()
    make(folder / "source", size, options)
    print(f"{size:,} images made in {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    project = folder / "project"
    project.mkdir()
    _write_params(project / "params.yaml", folder / "source", options)
    left = {"ingest": "data", "train": "models", "export": "synthetic", "verify": "synthetic"}
    found = {}
    for step in STEPS:
        command = [step, "synthetic"] if step == "verify" else [step]
        found[step] = run(command, project, project / left[step])
        print(f"{size:,} {step}: {found[step]}", file=sys.stderr, flush=True)
    return found


def make(folder: Path, size: int, options: argparse.Namespace) -> None:
    """Writes ``size`` images of 32x32 into Parquet shards, the same for the same options."""
    images, labels, classes = real(options.real, 3 if options.colour else 1)
    encoding = Encoding()
    writer = ParquetWriter(folder, classes, encoding.extension)
    for number, (rows, pixels) in enumerate(noisy(images, size, options.noise)):
        files = [encode(image, encoding) for image in pixels]
        names = (f"image-{number * PART + place:08d}" for place in range(len(rows)))
        given = zip(names, labels[rows].tolist(), files, strict=True)
        writer.write_part(number, [Item(name, "train", label, file) for name, label, file in given])


def noisy(images: np.ndarray, size: int, noise: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """``size`` of ``images`` over and over, each with noise of its own: rows and uint8 (n, C, H, W), part by part."""
    order = np.random.default_rng(0).permutation(len(images))
    for number, start in enumerate(range(0, size, PART)):
        rows = order[np.arange(start, min(start + PART, size)) % len(images)]
        levels = np.random.default_rng([1, number]).normal(0, noise, (len(rows), *images.shape[1:]))
        yield rows, np.clip(images[rows] + levels, 0, 255).round().astype(np.uint8)


def real(folder: Path | None, channels: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """uint8 (N, C, 32, 32), int64 (N,) and the names of the classes."""
    pictures: Iterator[tuple[int, Image.Image]]
    if folder is None:
        from sklearn.datasets import load_digits

        digits, labels = load_digits(return_X_y=True)
        classes = [str(digit) for digit in range(10)]
        grey = np.round(digits * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8)
        pictures = ((int(label), Image.fromarray(one)) for label, one in zip(labels, grey, strict=True))
    else:
        classes = sorted(path.name for path in folder.iterdir() if path.is_dir())
        pictures = (
            (label, Image.open(path))
            for label, name in enumerate(classes)
            for path in sorted((folder / name).iterdir())
        )
    mode = "L" if channels == 1 else "RGB"
    read = [(label, np.atleast_3d(np.asarray(one.convert(mode).resize((SIDE, SIDE))))) for label, one in pictures]
    return np.stack([one for _, one in read]).transpose(0, 3, 1, 2), np.array([label for label, _ in read]), classes


def _write_params(path: Path, source: Path, options: argparse.Namespace) -> None:
    params = yaml.safe_load((Path(__file__).parents[1] / "params.yaml").read_text(encoding="utf-8"))
    params["data"] |= {"source": "huggingface", "path": str(source), "image_size": SIDE, "long_tail": None}
    params["train"] |= {"recipe": "wgan-gp", "family": "dcgan", "width": 16, "kimg": None, "minutes": options.minutes}
    # all real images, and a tenth as many synthetic ones: a set of more images than were ingested
    params["export"] |= {"include_real": "all", "balance": 0.1, "format": "parquet", "shard_images": 10_000}
    path.write_text(yaml.safe_dump(params), encoding="utf-8")


def run(arguments: list[str], project: Path, left: Path) -> Took:
    """One command of augmint in a process of its own."""
    command = [sys.executable, "-m", "pipeline.cli", *arguments]
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=project, stdout=subprocess.DEVNULL)
    watching = Watching(process.pid)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    watching.stop()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)}: exit code {process.returncode}")
    disk = sum(path.stat().st_size for path in left.rglob("*") if path.is_file())
    memory = max(watching.memory, usage.ru_maxrss * 1024)
    return Took(seconds, usage.ru_utime + usage.ru_stime, memory, watching.anonymous, disk)


def _below(pid: int) -> Iterator[int]:
    yield pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()
    except OSError:
        return
    for child in children:
        yield from _below(int(child))


def _held(pid: int) -> tuple[int, int]:
    """Bytes of a process, shared ones in part, and those of them that are no file's; 0 if it is gone."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
    except OSError:
        return 0, 0
    fields = dict(line.split(":", 1) for line in text.splitlines()[1:])
    return tuple(1024 * int(fields[name].split()[0]) for name in ("Pss", "Pss_Anon"))  # type: ignore[return-value]


def _table(found: dict[int, dict[str, Took]]) -> Table:
    table = Table(
        "images", "step", "seconds", "processor s", "peak MiB", "anonymous MiB", "disk MiB", title="Past memory"
    )
    for size, steps in found.items():
        for step, took in steps.items():
            numbers = (took.memory, took.anonymous, took.disk)
            table.add_row(
                f"{size:,}",
                step,
                f"{took.seconds:,.1f}",
                f"{took.processor:,.1f}",
                *(f"{number / MIB:,.0f}" for number in numbers),
            )
    return table


def _fits(found: dict[int, dict[str, Took]]) -> Iterator[str]:
    if len(found) < 2:
        return
    sizes = np.array(list(found), float)
    for step in STEPS:
        if step == "train":
            continue  # its time is given
        time_, disk = (
            np.array([getattr(took[step], name) for took in found.values()]) for name in ("processor", "disk")
        )
        exponents = [np.polyfit(np.log(sizes), np.log(values), 1)[0] for values in (time_, disk)]
        each, fixed = np.polyfit(sizes, time_, 1, w=1 / time_)
        off = np.abs((fixed + each * sizes) / time_ - 1).max()
        yield (
            f"{step}: processor time as N^{exponents[0]:.2f}, or {fixed:.1f} s + {each * 1e6:.0f} us an image "
            f"(off by {off:.0%} at most); disk as N^{exponents[1]:.2f}"
        )


if __name__ == "__main__":
    main()
