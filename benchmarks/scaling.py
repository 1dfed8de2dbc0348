"""Hours, GiB and money of a set of any size, from rates that were measured; docs/scaling.md explains the model.

    python benchmarks/scaling.py --images 1000000 --size 32 --channels 1 --kimg 25000 --gpus 1 --synthetic 1000000
    python benchmarks/scaling.py --check

Every rate names the machine that it was measured on, or says that nobody measured it. What a machine costs an hour is
the reader's to say (``--gpu-price``, ``--cpu-price``). ``--check`` holds the model against points that were measured.
"""

import argparse
import math
from collections.abc import Iterator
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

GIB, HOUR = 2**30, 3600
HERE = "a core of 2, x86-64 limited to AVX2, torch 2.15, processor time on a busy machine"
NOBODY = "nobody measured it"


class Rate(NamedTuple):
    """Seconds of one core.

    Attributes:
        image: for an image of whatever size: names, checksums, columns.
        value: for each pixel and channel of an image.
        pixel: for each pixel.
        fixed: for the whole step.
        sorts: images count times the binary logarithm of their number.
        where: the machine.
    """

    image: float = 0.0
    value: float = 0.0
    pixel: float = 0.0
    fixed: float = 0.0
    sorts: bool = False
    where: str = HERE

    def seconds(self, images: float, size: int, channels: int) -> float:
        """Processor time of so many images of ``size`` x ``size`` pixels."""
        pixels, images = size**2, images * (math.log2(max(2.0, images)) if self.sorts else 1)
        return self.fixed + images * (self.image + self.value * pixels * channels + self.pixel * pixels)


RATES = {
    "ingest": Rate(image=70e-6, value=25e-9, fixed=2.8),
    "near duplicates": Rate(image=1.5e-6, value=1.5e-9, sorts=True),
    "draw": Rate(pixel=0.5e-6),
    "write": Rate(image=85e-6, value=31e-9, fixed=2.8),
    "verify": Rate(image=60e-6, value=15e-9, fixed=3.1),
    "train": Rate(pixel=4.0e-6, fixed=10.0),  # wgan-gp, dcgan, width 16, a real image shown
}

GPU_CORES = 300.0
"""How many such cores a large GPU is worth in training; nobody measured it, as no GPU was at hand. A core reaches some
0.06 teraflop/s here, and an H100 has 989 of dense bfloat16 (NVIDIA's data sheet): 300 takes it to reach 2 % of them, as
networks of this size keep it waiting."""

PROGRAM = 0.9  # GiB of memory that a step takes without any image
MEMORY = {"ingest": 300, "near duplicates": 300, "draw": 330, "write": 330, "verify": 260}
"""Bytes an image above that."""

PACKED = 110  # bytes an image in an exported set beside its pixels, which hardly become fewer in PNG
ALONE = ("near duplicates", "verify")  # which one process does

MEASURED = (
    ("ingest but near duplicates, 10,000 to 100,000", 7.5, lambda: _more("ingest", 90_000, 32, 1)),
    ("near duplicates, 100,000", 4.2, lambda: RATES["near duplicates"].seconds(100_000, 32, 1)),
    ("near duplicates, 1,000,000", 53.0, lambda: RATES["near duplicates"].seconds(1_000_000, 32, 1)),
    ("verify, 10,620 to 106,200", 8.1, lambda: _more("verify", 95_580, 32, 1)),
    ("export, 106,200 of which 6,200 drawn", 18.8, lambda: _export(106_200, 6_200, 32, 1)),
    ("writing, 10,000 of 64x64 in colour", 4.6, lambda: _more("write", 10_000, 64, 3)),
    ("drawing, 10,000 of 64x64, residual network", 18.4, lambda: _more("draw", 10_000, 64, 3)),
    ("training, 10 kimg of 8x8", 2.9, lambda: _more("train", 10_000, 8, 1)),
    ("training, 10 kimg of 32x32", 40.5, lambda: _more("train", 10_000, 32, 1)),
    ("ingest, 1,000,000, near duplicates included", 147, lambda: _ingest(1_000_000, 32, 1)),
    ("export, 1,062,000 of which 62,000 drawn", 146, lambda: _export(1_062_000, 62_000, 32, 1)),
    ("verify, 1,062,000", 74, lambda: RATES["verify"].seconds(1_062_000, 32, 1)),
)
"""What was measured, seconds of processor time, and what the model says; docs/benchmarks.md has where each is from."""


class Step(NamedTuple):
    """What a step takes: hours by the clock on the cores or GPUs given, GiB of memory, and money."""

    name: str
    hours: float
    memory: float
    money: float


def steps(options: argparse.Namespace) -> Iterator[Step]:
    """Every step of the pipeline but evaluation and the verdict, whose cost hangs on their own settings."""
    exported = options.images + options.synthetic
    of = {"draw": options.synthetic, "write": exported, "verify": exported}
    for name, each in MEMORY.items():
        images = of.get(name, options.images)
        cores = 1 if name in ALONE else options.cores
        hours = RATES[name].seconds(images, options.size, options.channels) / HOUR / cores
        yield Step(name, hours, PROGRAM + each * images / GIB, hours * options.cpu_price)
    hours = RATES["train"].seconds(1000 * options.kimg, options.size, options.channels) / HOUR
    hours /= GPU_CORES * options.gpus if options.gpus else options.cores
    price = options.gpus * options.gpu_price if options.gpus else options.cpu_price
    held = min(options.images * options.channels * options.size**2 / GIB, 1.0)
    yield Step("train", hours, PROGRAM + 0.3 + held, hours * price)


def check() -> Table:
    """The model beside the points that were measured."""
    table = Table("point", "measured, s", "model, s", "model over measured")
    for name, seconds, model in MEASURED:
        table.add_row(name, f"{seconds:.1f}", f"{model():.1f}", f"{model() / seconds:.2f}")
    return table


def _more(name: str, images: int, size: int, channels: int) -> float:
    """What so many images more take."""
    return RATES[name].seconds(images, size, channels) - RATES[name].fixed


def _ingest(images: int, size: int, channels: int) -> float:
    return sum(RATES[name].seconds(images, size, channels) for name in ("ingest", "near duplicates"))


def _export(images: int, drawn: int, size: int, channels: int) -> float:
    return RATES["write"].seconds(images, size, channels) + RATES["draw"].seconds(drawn, size, channels)


def main() -> None:
    """Prints the table."""
    options, console = _options(), Console(width=110)
    if options.check:
        console.print(check())
        return
    table = Table("step", "hours", "GiB of memory", "money", title=_title(options))
    found = list(steps(options))
    for step in found:
        table.add_row(step.name, f"{step.hours:,.2f}", f"{step.memory:,.1f}", f"{step.money:,.2f}")
    table.add_section()
    table.add_row("all", f"{sum(step.hours for step in found):,.2f}", "", f"{sum(step.money for step in found):,.2f}")
    console.print(table)
    values = options.channels * options.size**2
    exported = (options.images + options.synthetic) * (values + PACKED)
    console.print(f"store: {options.images * values / GIB:,.1f} GiB on the disk; set: {exported / GIB:,.1f} GiB")
    rates = {name: rate.where for name, rate in RATES.items()} | {"a GPU's worth in cores": NOBODY}
    for where in dict.fromkeys(rates.values()):
        console.print(f"{', '.join(name for name, at in rates.items() if at == where)}: {where}")


def _title(options: argparse.Namespace) -> str:
    size = f"{options.size}x{options.size}x{options.channels}"
    where = f"{options.gpus} GPUs of {GPU_CORES:.0f} cores (assumed)" if options.gpus else f"{options.cores} cores"
    return f"{options.images:,} images of {size}, {options.kimg:,} kimg on {where}, {options.synthetic:,} synthetic"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    numbers = {"images": 10**6, "size": 32, "channels": 1, "synthetic": 10**6, "kimg": 25_000, "gpus": 1, "cores": 2}
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--check", action="store_true", help="the model against what was measured")
    parser.add_argument("--gpu-price", type=float, default=0.0, help="of a GPU an hour, in any money")
    parser.add_argument("--cpu-price", type=float, default=0.0, help="of the machine without GPUs an hour")
    return parser.parse_args()


if __name__ == "__main__":
    main()
