"""What a run costs by its images' size, and whether the memory that `augmint train --dry-run` tells is what it takes.

    python benchmarks/training/cost.py [--sizes 8 16 32 64] [--precision bfloat16] [--width 16] [--batch 64]

Each size in a process of its own, with one thread. Time is that of an iteration of the recipe `wgan-gp` in early and in
late iterations, which must be the same if the cost grows linearly in kimg. Memory is the process's peak above what it
had before the first iteration's networks were made, and the prediction for that.
"""

import argparse
import time
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from gan.config import Config
from gan.memory import peak_bytes
from gan.networks import Shape
from gan.trainer import Labelled, Trainer
from pipeline.training.estimate import CPU_OVERHEAD, MIB, process_peak

WARM_UP, TIMED, BETWEEN = 3, 10, 60  # iterations


class Cost(NamedTuple):
    """Seconds an iteration, early and late; MiB above the start, measured and told."""

    early: float
    late: float
    memory: float
    told: float


def main() -> None:
    """Prints a row a size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[8, 16, 32, 64])
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="bfloat16")
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--batch", type=int, default=64)
    options = parser.parse_args()
    title = f"wgan-gp, width {options.width}, batch {options.batch}, {options.precision}, one thread"
    table = Table("size", "parameters", title=title)
    for heading in ("s/kimg", "by pixels", "late/early", "memory MiB", "told MiB"):
        table.add_column(heading, justify="right")
    first = 0.0
    for size in options.sizes:
        with get_context("spawn").Pool(1) as pool:
            cost, parameters = pool.apply(_measure, (size, options.width, options.batch, options.precision))
        iterations = 1000 / (2 * options.batch)  # two critic steps each
        by_pixel = cost.early / size**2
        first = first or by_pixel
        cells = (f"{cost.early * iterations:.2f}", f"{by_pixel / first:.2f}", f"{cost.late / cost.early:.2f}")
        table.add_row(f"{size}x{size}", f"{parameters:,}", *cells, f"{cost.memory:,.0f}", f"{cost.told:,.0f}")
    Console(width=110).print(table)


def _measure(size: int, width: int, batch: int, precision: str) -> tuple[Cost, int]:
    torch.set_num_threads(1)
    config = Config(kimg=1e9, batch_size=batch, width=width, precision=precision)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2000, 3, size, size), dtype=np.uint8)
    data = Labelled(images, rng.integers(0, 10, 2000), 10)
    torch.ones(256, 256) @ torch.ones(256, 256)  # loads the library
    before = process_peak()
    trainer = Trainer.on_images(config, data, 0, torch.device("cpu"))
    _seconds(trainer, WARM_UP)
    early = _seconds(trainer, TIMED)
    _seconds(trainer, BETWEEN)
    late = _seconds(trainer, TIMED)
    memory = (process_peak() - before) / MIB
    told = peak_bytes(config, Shape(size, 3, 10, config.latent_dim, width), torch.device("cpu")) * CPU_OVERHEAD / MIB
    parameters = sum(p.numel() for network in (trainer.generator, trainer.critic) for p in network.parameters())
    return Cost(early, late, memory, told), parameters


def _seconds(trainer: Trainer, iterations: int) -> float:
    began = time.perf_counter()
    for _ in range(iterations):
        trainer.iteration()
    return (time.perf_counter() - began) / iterations


if __name__ == "__main__":
    main()
