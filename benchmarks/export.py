"""How fast ``export`` writes, beside the usual loop of ``torchvision.utils.save_image``, and how much memory it takes.

    python benchmarks/export.py [--images 4000] [--size 64] [--folder /dev/shm]

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
    return Source(("one",), nothing, sampler, "0" * 64, [count], include_real=False)  # type: ignore[arg-type]


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--folder", help="where to write; the system's temporary folder if not given")
    parser.add_argument("--memory", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    ready, count = Ready(args.size), args.memory or args.images
    if args.memory:
        seconds(lambda folder: export(source(ready, args.size, count), folder / "set"), args.folder)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    generator = build("resnet", "generator", Shape(args.size, 3, 1, 64, 32)).eval()
    floats = ready.images[torch.arange(count) % len(ready.images)].float() / 255
    drawn = source(Sampler(generator, 0), args.size, count)
    times: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for name, work in {
            "save_image loop": lambda folder: loop(floats, folder),
            "our writing": lambda folder: export(source(ready, args.size, count), folder / "set"),
            "model(z) + save_image loop": lambda folder: draw_and_loop(generator, folder, count),
            "our export": lambda folder: export(drawn, folder / "set"),
        }.items():
            times.setdefault(name, []).append(seconds(work, args.folder))
    share = drawn.seconds / sum(times["our export"])
    table = Table(
        "what", title=f"{count:,} colour images of {args.size}x{args.size}, {torch.get_num_threads()} threads"
    )
    table.add_column("images/s", justify="right")
    table.add_column("ratio", justify="right")
    base = 0.0
    for name, taken in times.items():
        base = min(taken) if "loop" in name else base
        table.add_row(name, f"{count / min(taken):,.0f}", f"{base / min(taken):.2f}")
    console = Console()
    console.print(table)
    console.print(f"The generator's share of our export: {share:.0%}")
    for number in (count, 10 * count):
        console.print(f"Peak memory, {number:,} images: {peak(number, args.size, args.folder):.0f} MiB")


if __name__ == "__main__":
    main()
