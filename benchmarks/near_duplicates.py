"""Grouping near duplicates alone, by the number of images: processor time, and how it grows beside N log N.

    python benchmarks/near_duplicates.py [--images 100000 1000000] [--noise 8] [--bits 4]

The images are scikit-learn's digits at 32x32, over and over, each with noise of its own: as many are alike as can be.
Pixels are held in memory here; a stage reads them from its scratch file, and `benchmarks/scale.py` tells its memory.
"""

import argparse
import math
import time

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits

from pipeline.ingest.duplicates import perceptual_hashes
from pipeline.ingest.near import near_groups

SIDE, PART = 32, 8192


def main() -> None:
    """Prints a row for each number of images."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[20_000, 100_000, 400_000])
    parser.add_argument("--noise", type=float, default=8.0, help="standard deviation, in levels of 0 to 255")
    parser.add_argument("--bits", type=int, default=4, help="as data.near_duplicate_bits")
    options = parser.parse_args()
    table, before = Table("images", "groups", "processor time, s", "times", "N log N"), None
    for count in options.images:
        images, hashes = _made(count, options.noise)
        began = time.process_time()
        groups = near_groups(hashes, options.bits, images.__getitem__)
        spent = time.process_time() - began
        grown = [f"{spent / before[1]:.1f}", f"{_work(count) / _work(before[0]):.1f}"] if before else ["", ""]
        found = len(np.unique(groups))
        table.add_row(f"{count:,}", f"{found:,}", f"{spent:.1f}", *grown)
        before = (count, spent)
    Console().print(table)


def _made(count: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (N, 1, 32, 32) and uint64 (N,)."""
    digits = (load_digits().images * (255 / 16)).astype(np.uint8)
    large = [Image.fromarray(digit).resize((SIDE, SIDE), Image.Resampling.BICUBIC) for digit in digits]
    real = np.stack([np.asarray(picture, np.float32) for picture in large])
    order = np.random.default_rng(0).permutation(len(real))
    images, hashes = np.empty((count, 1, SIDE, SIDE), np.uint8), np.empty(count, np.uint64)
    for start in range(0, count, PART):
        rows = order[np.arange(start, min(start + PART, count)) % len(real)]
        noisy = real[rows] + np.random.default_rng([1, start]).normal(0, noise, (len(rows), SIDE, SIDE))
        part = slice(start, start + len(rows))
        images[part, 0] = np.clip(noisy, 0, 255).round()
        hashes[part] = perceptual_hashes(images[part, 0].astype(np.float32))
    return images, hashes


def _work(count: int) -> float:
    return count * math.log(count)


if __name__ == "__main__":
    main()
