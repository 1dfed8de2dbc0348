"""How fast ``export`` writes, beside the usual loop of ``torchvision.utils.save_image``, and how much memory it takes.

    python benchmarks/export.py [--images 2000] [--drawn 512] [--width 16] [--size 64] [--folder /dev/shm]

Both sides write the same number of images to the same folder in the same run, by turns; the best of three counts.
``save_image`` writes an image alone; ours also marks it, hashes it and enters it into the manifest.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torchvision.utils import save_image

from gan.networks import Network, Shape, build
from gan.sampler import Sampler
from pipeline.params import Params
from pipeline.stages.export import Source, export
from pipeline.store import Split

ROUNDS = 3


class Ready:
    """Stands in for a sampler where the writing alone is measured: images that are there already."""

    seed = 0

    def __init__(self, size: int, count: int = 1024) -> None:
        draws = torch.Generator().manual_seed(0)
        coarse = torch.rand(count, 3, 8, 8, generator=draws)
        smooth = torch.nn.functional.interpolate(coarse, size=size, mode="bicubic")
        noisy = smooth + 0.01 * torch.randn(smooth.shape, generator=draws)
        self.images = (noisy.clamp(0, 1) * 255).round().to(torch.uint8)

    def draw(self, label: int, start: int, count: int) -> Tensor:  # noqa: ARG002
        return self.images[torch.arange(start, start + count) % len(self.images)]


def source(sampler: Sampler | Ready, size: int, count: int) -> Source:
    nothing = Split("train", np.empty((0, 3, size, size), np.uint8), np.empty(0, np.int64))
    return Source(("one",), nothing, sampler, "0" * 64, [count], Params(), revision=None)  # type: ignore[arg-type]


def loop(images: Tensor, folder: Path, first: int = 0) -> None:
    for index, image in enumerate(images, first):
        save_image(image, folder / f"{index}.png")


@torch.inference_mode()
def draw_and_loop(generator: Network, folder: Path, count: int) -> None:
    for start in range(0, count, 64):
        z = torch.randn(64, generator.shape.latent_dim)
        images = generator(z, torch.zeros(64, dtype=torch.int64))
        loop((images[: count - start] + 1) / 2, folder, start)


def seconds(work: Callable[[Path], object], parent: str | None) -> float:
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        began = time.perf_counter()
        work(Path(folder))
        return time.perf_counter() - began


def peak(count: int, size: int, parent: str | None) -> float:
    """Peak memory of a process that exports ``count`` images, in MiB."""
    command = [sys.executable, __file__, "--memory", str(count), "--size", str(size)]
    command += ["--folder", parent] if parent else []
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def rate(name: str, count: int, taken: list[float], base: list[float]) -> tuple[str, str, str]:
    return name, f"{count / min(taken):,.0f}", f"{min(base) / min(taken):.2f}"


def compare(size: int, count: int, drawn: int, width: int, parent: str | None) -> None:
    """Prints the table: ``count`` images written, ``drawn`` images drawn and written."""
    ready = Ready(size)
    generator = build("resnet", "generator", Shape(size, 3, 1, 64, width)).eval()
    floats = ready.images[torch.arange(count) % len(ready.images)].float() / 255
    draws = source(Sampler(generator, 0), size, drawn)
    work: tuple[Callable[[Path], object], ...] = (
        lambda folder: loop(floats, folder),
        lambda folder: export(source(ready, size, count), folder / "set"),
        lambda folder: draw_and_loop(generator, folder, drawn),
        lambda folder: export(draws, folder / "set"),
    )
    rounds = [[seconds(each, parent) for each in work] for _ in range(ROUNDS)]
    write_loop, write_ours, draw_loop, draw_ours = (list(taken) for taken in zip(*rounds, strict=True))
    table = Table("what", title=f"colour images of {size}x{size}, {torch.get_num_threads()} threads, best of {ROUNDS}")
    table.add_column("images/s", justify="right")
    table.add_column("ratio", justify="right")
    table.add_row(*rate("save_image loop", count, write_loop, write_loop))
    table.add_row(*rate("our writing", count, write_ours, write_loop))
    table.add_row(*rate("model(z) + save_image loop", drawn, draw_loop, draw_loop))
    table.add_row(*rate("our export", drawn, draw_ours, draw_loop))
    console = Console()
    console.print(table)
    console.print(f"The generator (width {width}) has {draws.seconds / sum(draw_ours):.0%} of our export's time.")
    for number in (count, 10 * count):
        console.print(f"Peak memory, {number:,} images: {peak(number, size, parent):.0f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000, help="images written")
    parser.add_argument("--drawn", type=int, default=512, help="images drawn and written")
    parser.add_argument("--width", type=int, default=16, help="of the generator")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--folder", help="where to write; the system's temporary folder if not given")
    parser.add_argument("--memory", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.memory:
        ready = Ready(args.size)
        seconds(lambda folder: export(source(ready, args.size, args.memory), folder / "set"), args.folder)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    else:
        compare(args.size, args.images, args.drawn, args.width, args.folder)


if __name__ == "__main__":
    main()
