"""What it costs to share each batch among processes, against one process with all of the threads.

    python benchmarks/training/processes.py [--sizes 8 32] [--processes 2] [--threads 2] [--batch 64] [--plain]

An iteration of `wgan-gp` at the same batch: one process with all threads, and several with their share of the threads
each, joined by gloo. The two take turns, a round each, and the least of the rounds counts.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from processor import use_plain
from rich.console import Console
from rich.table import Table

from gan.config import Config
from gan.ranks import Ranks
from gan.trainer import Labelled, Trainer

WARM_UP, ITERATIONS = 2, 8


def main() -> None:
    """Prints a row a size."""
    options = _options()
    if options.plain:
        use_plain()
    title = f"ms an iteration, batch {options.batch}, float32{', plain' if options.plain else ''}"
    table = Table("size", "1 process", f"{options.processes} processes", "times as long", title=title)
    for size in options.sizes:
        alone, shared = [], []
        for _ in range(options.rounds):
            alone.append(_round(options, size, 1))
            shared.append(_round(options, size, options.processes))
        one, several = min(alone), min(shared)
        table.add_row(f"{size}x{size}", f"{1000 * one:.1f}", f"{1000 * several:.1f}", f"{several / one:.2f}")
    Console(width=100).print(table)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[8, 32])
    for name, default in (("processes", 2), ("threads", 2), ("batch", 64), ("width", 16), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--plain", action="store_true", help="as on a processor without AVX-512")
    return parser.parse_args()


def _round(options: argparse.Namespace, size: int, count: int) -> float:
    """Seconds an iteration of so many processes."""
    with tempfile.TemporaryDirectory() as folder:
        setting = (count, options.threads // count, size, options.batch, options.width, folder)
        mp.spawn(_work, setting, nprocs=count)
        return float((Path(folder) / "seconds").read_text())


def _work(rank: int, count: int, threads: int, size: int, batch: int, width: int, folder: str) -> None:
    torch.set_num_threads(max(1, threads))
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=count)
    rng = np.random.default_rng(0)
    data = Labelled(rng.integers(0, 256, (500, 3, size, size), dtype=np.uint8), rng.integers(0, 10, 500), 10)
    config = Config(kimg=1e6, batch_size=batch, width=width)
    trainer = Trainer.on_images(config, data, 0, torch.device("cpu"), Ranks(rank, count))
    for _ in range(WARM_UP):
        trainer.iteration()
    dist.barrier()
    began = time.perf_counter()
    for _ in range(ITERATIONS):
        trainer.iteration()
    if rank == 0:
        (Path(folder) / "seconds").write_text(str((time.perf_counter() - began) / ITERATIONS))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
