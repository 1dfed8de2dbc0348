"""How many of the experiment's classifiers are trained a second: one at a time by torch's own layers, and in stacks.

    [ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 MKL_ENABLE_INSTRUCTIONS=AVX2] python benchmarks/classifiers.py

With the variables it shows a processor without AVX-512. Prints Markdown: processor time of one thread, the best of some
rounds in which both take turns, scaled to classifiers of 160 steps. Both are asked for the same: batches, changes,
forward and backward passes, the optimiser.
"""

import argparse
import time

from pipeline.runtime import prepare

prepare()  # before torch

import numpy as np  # noqa: E402
import torch  # noqa: E402

from pipeline.classifier.network import SmallResNet  # noqa: E402
from pipeline.classifier.training import ExtraPass, Recipe, Task, fit, fit_all  # noqa: E402

STEPS, BATCH, CLASSES, IMAGES = 160, 64, 10, 600
CASES = {
    "8x8 grey, no augmentation": (8, 1, Recipe(), False),
    "8x8 grey, trivial": (8, 1, Recipe("oversampling", "trivial"), False),
    "8x8 grey, trivial, second pass": (8, 1, Recipe("oversampling", "trivial"), True),
    "32x32 colour, trivial, second pass": (32, 3, Recipe("oversampling", "trivial"), True),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stack", type=int, default=6, help="classifiers in a stack")
    parser.add_argument("--steps", type=int, default=6, help="that are timed in each round")
    parser.add_argument("--rounds", type=int, default=8)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| classifiers a second of processor time | one at a time | in a stack | times as many |")
    print("| --- | ---: | ---: | ---: |")
    for name, case in CASES.items():
        before, stacked = rates(*case, options)
        print(f"| {name} | {before:.3f} | {stacked:.3f} | {stacked / before:.2f} |", flush=True)


def rates(size: int, channels: int, recipe: Recipe, second: bool, options: argparse.Namespace) -> tuple[float, float]:
    """Classifiers a second: one at a time with torch's layers, and in a stack."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (IMAGES, channels, size, size), dtype=np.uint8)
    labels = np.arange(IMAGES) % CLASSES
    extra = ExtraPass(images, np.arange(IMAGES), labels, 0.5, BATCH) if second else None
    best = [float("inf"), float("inf")]
    for _ in range(options.rounds):
        for way, count in enumerate((1, options.stack)):
            networks = [SmallResNet(CLASSES, channels, size, seed=seed) for seed in range(count)]
            began = time.process_time()
            if way == 0:
                fit(networks[0], images, labels, seed=0, steps=options.steps, recipe=recipe, extra=extra)
            else:
                tasks = [Task(images, labels, seed, extra) for seed in range(count)]
                fit_all(networks, tasks, steps=options.steps, batch_size=BATCH, recipe=recipe)
            best[way] = min(best[way], (time.process_time() - began) / count)
    return options.steps / STEPS / best[0], options.steps / STEPS / best[1]


if __name__ == "__main__":
    main()
