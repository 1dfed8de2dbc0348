"""How fast a set is written and exported, beside the usual loop of ``torchvision.utils.save_image``; peak memory.

    python benchmarks/export.py [--images 2000] [--drawn 1024] [--width 16] [--size 64] [--folder /dev/shm]

Both sides write the same number of images to the same folder in the same run, by turns; the best of three counts.
``save_image`` writes an image alone; ours also marks it, hashes it and enters it into the manifest. The export is the
whole stage: generator, images, manifest, card and checksums. Peak memory is that of the stage at 8x8.
"""

import argparse
import contextlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torchvision.utils import save_image

from gan.checkpoint import load_generator, save_network
from gan.networks import Network, Shape, build
from gan.sampler import Sampler
from pipeline.formats import open_writer
from pipeline.formats.base import Item
from pipeline.formats.encoding import encode
from pipeline.formats.manifest import MANIFEST, About, ManifestWriter, Row
from pipeline.params import ExportParams, Params
from pipeline.provenance import Mark, params_hash, set_params
from pipeline.runtime import usable_cores
from pipeline.stages.export import run
from pipeline.store import write_store
from pipeline.workspace import Workspace

ROUNDS = 3
PART = 64  # images that one thread writes at a time
GENERATOR = "0" * 64


def pictures(size: int, count: int) -> Tensor:
    """Smooth colour images with a little noise, uint8 (count, 3, size, size)."""
    draws = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, 8, 8, generator=draws)
    smooth = torch.nn.functional.interpolate(coarse, size=size, mode="bicubic")
    noisy = smooth + 0.01 * torch.randn(smooth.shape, generator=draws)
    return (noisy.clamp(0, 1) * 255).round().to(torch.uint8)


def loop(images: Tensor, folder: Path, first: int = 0) -> None:
    for index, image in enumerate(images, first):
        save_image(image, folder / f"{index}.png")


def write(images: np.ndarray, folder: Path) -> None:
    """Writes images as the stage does, without a generator."""
    params = Params()
    about = About(
        classes=("one",),
        channels=3,
        image_size=images.shape[-1],
        splits=("train",),
        seed=0,
        generator=GENERATOR,
        params=set_params(params),
        overridden=(),
        augmint="1",
    )
    writer, digest = open_writer(folder, about), params_hash(set_params(params))

    def part(start: int) -> list[Row]:
        indices = range(start, min(start + PART, len(images)))
        items = [
            Item(
                f"synthetic-0-{i:06d}",
                "train",
                0,
                encode(images[i], about.encoding, Mark(GENERATOR, "one", i, 0).xmp()),
            )
            for i in indices
        ]
        places = writer.write_part(start // PART, items)
        return [row(item, i, *place, digest) for item, i, place in zip(items, indices, places, strict=True)]

    with ManifestWriter(folder / MANIFEST, about) as manifest, ThreadPoolExecutor(usable_cores()) as pool:
        for rows in pool.map(part, range(0, len(images), PART)):
            manifest.extend(rows)
    writer.close()


def row(item: Item, index: int, file: str, sha256: str, params: str) -> Row:
    return Row(
        file=file,
        name=item.name,
        sha256=sha256,
        split=item.split,
        label="one",
        label_index=0,
        index=index,
        synthetic=True,
        seed=0,
        generator=GENERATOR,
        params=params,
        augmint="1",
    )


def project(folder: Path, size: int, width: int) -> Workspace:
    """A workspace with one real image, and a generator that nobody has trained."""
    workspace = Workspace(folder)
    workspace.store.mkdir(parents=True)
    labels = {"train": np.zeros(1, np.int64), "val": np.empty(0, np.int64), "test": np.empty(0, np.int64)}
    real = np.zeros((1, 3, size, size), np.uint8)
    write_store(workspace.store, [real], labels, ("one",), (3, size, size), {})
    card = {"family": "resnet", "classes": ["one"]}
    save_network(workspace.models, "generator", build("resnet", "generator", Shape(size, 3, 1, 64, width)), card)
    return workspace


def export(workspace: Workspace, count: int) -> None:
    """Runs the stage for ``count`` synthetic images; what it says goes nowhere."""
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, contextlib.redirect_stderr(nowhere):
        run(Params(export=ExportParams(balance=count + 1)), workspace)


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


def compare(args: argparse.Namespace, workspace: Workspace) -> None:
    """Prints the table."""
    ready = pictures(args.size, args.images)
    floats, pixels = ready.float() / 255, ready.numpy()
    generator, sampler = load_generator(workspace.models)[0], Sampler(load_generator(workspace.models)[0], 0)
    work: dict[str, tuple[int, Callable[[Path], object]]] = {
        "save_image loop": (args.images, lambda folder: loop(floats, folder)),
        "our writing": (args.images, lambda folder: write(pixels, folder)),
        "model(z) + save_image loop": (args.drawn, lambda folder: draw_and_loop(generator, folder, args.drawn)),
        "our export": (args.drawn, lambda folder: export(workspace, args.drawn)),  # noqa: ARG005
        "our generator alone": (args.drawn, lambda folder: sampler.draw(0, 0, args.drawn)),  # noqa: ARG005
    }
    taken = {name: [] for name in work}
    for _ in range(ROUNDS):
        for name, (_, each) in work.items():
            taken[name].append(seconds(each, args.folder))
    title = f"colour images of {args.size}x{args.size}, {torch.get_num_threads()} threads, best of {ROUNDS}"
    table = Table("what", title=title)
    table.add_column("images/s", justify="right")
    table.add_column("ratio", justify="right")
    for name, (count, _) in work.items():
        base = "save_image loop" if count == args.images else "model(z) + save_image loop"
        table.add_row(name, f"{count / min(taken[name]):,.0f}", f"{min(taken[base]) / min(taken[name]):.2f}")
    console = Console()
    console.print(table)
    share = min(taken["our generator alone"]) / min(taken["our export"])
    console.print(f"The generator (width {args.width}) alone takes {share:.0%} of our export's time.")


def peak(count: int, parent: str | None) -> float:
    """Peak memory of a process that exports ``count`` images of 8x8, in MiB."""
    command = [sys.executable, __file__, "--memory", str(count), *(["--folder", parent] if parent else [])]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000, help="images written")
    parser.add_argument("--drawn", type=int, default=1024, help="images drawn and written; not as many as --images")
    parser.add_argument("--width", type=int, default=16, help="of the generator")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--folder", help="where to write; the system's temporary folder if not given")
    parser.add_argument("--memory", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        if args.memory:
            export(project(Path(folder), 8, 4), args.memory)
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
            return
        compare(args, project(Path(folder), args.size, args.width))
        for count in (10_000, 100_000):
            print(f"Peak memory, {count:,} images: {peak(count, args.folder):,.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
