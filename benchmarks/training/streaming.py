"""What it costs to train on a set that does not fit on the device, against one that lies there.

    python benchmarks/training/streaming.py [--images 100000] [--size 32] [--batch 64] [--rounds 5] [--plain]

One set of random pixels in several memory-mapped files; iterations of `wgan-gp` from it as it is held on the device, as
it is read ahead in a thread, and as it would be read when it is asked for. The three take turns, and the least of the
rounds counts: seconds by the clock, and processor time of all threads, which says more on a busy machine.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np
import torch
from processor import use_plain
from rich.console import Console
from rich.table import Table

from gan import real_images
from gan.config import Config
from gan.trainer import Labelled, Trainer
from pipeline.store import SPLITS, Store, write_store

WARM_UP, ITERATIONS = 3, 10
WAYS = ("on the device", "read ahead", "read when asked for")


class Took(NamedTuple):
    """Seconds an iteration."""

    clock: float
    processor: float


def main() -> None:
    """Prints a row a way."""
    options = _options()
    if options.plain:
        use_plain()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as folder:
        store = _written(Path(folder), options)
        trainers = {way: _trainer(way, store, options, device) for way in WAYS}
        rounds: dict[str, list[Took]] = {way: [] for way in WAYS}
        for _ in range(options.rounds):
            for way, trainer in trainers.items():
                rounds[way].append(_timed(trainer))
    best = {way: Took(*map(min, zip(*found, strict=True))) for way, found in rounds.items()}
    table = Table(
        "set", "ms an iteration", "times", "processor ms", "times", title=f"{options.images:,} images, {device}"
    )
    for way, took in best.items():
        first = best[WAYS[0]]
        ratios = took.clock / first.clock, took.processor / first.processor
        table.add_row(
            way,
            f"{1000 * took.clock:.1f}",
            f"{ratios[0]:.3f}",
            f"{1000 * took.processor:.1f}",
            f"{ratios[1]:.3f}",
        )
    Console(width=100).print(table)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("images", 100_000), ("size", 32), ("batch", 64), ("width", 16), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--plain", action="store_true", help="as on a processor without AVX-512")
    return parser.parse_args()


def _written(folder: Path, options: argparse.Namespace) -> Store:
    rng, shape = np.random.default_rng(0), (3, options.size, options.size)
    blocks = (rng.integers(0, 256, (1000, *shape), np.uint8) for _ in range(options.images // 1000))
    labels = {name: np.arange(options.images if name == "train" else 0) % 10 for name in SPLITS}
    with mock.patch("pipeline.store.SHARD_BYTES", 2**26):
        write_store(folder, blocks, labels, [str(label) for label in range(10)], shape, {})
    return Store.open(folder)


def _trainer(way: str, store: Store, options: argparse.Namespace, device: torch.device) -> Trainer:
    split = store.split("train")
    config = Config(kimg=1e6, batch_size=options.batch, width=options.width)
    limit = 2**62 if way == WAYS[0] else 0
    with mock.patch.object(real_images, "room", return_value=limit):
        trainer = Trainer.on_images(config, Labelled(split.images, split.labels, 10), 0, device)
    if way == WAYS[2]:
        mock.patch.object(trainer, "_fetched", lambda _, names: real_images.fetched(trainer.source, names)).start()
    for _ in range(WARM_UP):
        trainer.iteration()
    return trainer


def _timed(trainer: Trainer) -> Took:
    clock, processor = time.perf_counter(), time.process_time()
    for _ in range(ITERATIONS):
        figures = trainer.iteration()
    figures.cpu()
    return Took((time.perf_counter() - clock) / ITERATIONS, (time.process_time() - processor) / ITERATIONS)


if __name__ == "__main__":
    main()
