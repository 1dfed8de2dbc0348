"""Grouping near duplicates alone, by the number of images: processor time, and how it grows beside N log N.

    python benchmarks/near_duplicates.py [--images 100000 1000000] [--noise 8] [--bits 4]

The images are scikit-learn's digits at 32x32, over and over, each with noise of its own: as many are alike as can be.
Pixels are held in memory here; a stage reads them from its scratch file, and `benchmarks/scale.py` tells its memory.
"""

import argparse
import math
import time

import numpy as np
from rich.console import Console
from rich.table import Table
from scale import PART, noisy, real

from pipeline.ingest.duplicates import perceptual_hashes
from pipeline.ingest.near import near_groups


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
    images = np.concatenate([pixels for _, pixels in noisy(real(None, 1)[0], count, noise)])
    parts = np.array_split(images[:, 0], max(1, count // PART))
    return images, np.concatenate([perceptual_hashes(part.astype(np.float32)) for part in parts])


def _work(count: int) -> float:
    return count * math.log(count)


if __name__ == "__main__":
    main()
