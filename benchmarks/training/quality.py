"""Time to quality: how much sooner augmint reaches the KID at which the textbook WGAN-GP loop ends.

    python benchmarks/training/quality.py digits [--iterations 400] [--seeds 3]
    python benchmarks/training/quality.py fashion-mnist.zip [--iterations 150] [--seeds 3]

The textbook loop is float32 with n_critic 5, lambda 10, Adam 1e-4 (Gulrajani et al. 2017) and runs for so many
generator steps. augmint trains by its defaults for a third of that time. Same networks, batch and threads. The clock
stands still while samples are judged, and the two take turns, so that a busy machine slows both. KID is in the features
of a classifier trained on the train set, between 1,000 samples and the held-out images.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from statistics import median

import torch
from plain import Plain
from rich.console import Console
from rich.table import Table
from sets import Judge, Task, digits, fashion

from gan.config import Config
from gan.networks import Network, Shape
from gan.trainer import Trainer, fresh_network
from pipeline.runtime import prepare
from pipeline.training.settings import has_bfloat16

SHARE = 1 / 3  # of the textbook loop's time
POINTS = 30


def main() -> None:
    """Prints a row a seed, and the median."""
    options = _options()
    prepare()
    task = digits() if options.set == "digits" else fashion(Path(options.set))
    judge = Judge(task)
    table = Table(
        "seed", "textbook: KID at its end", "after s", "augmint: same KID after s", "times sooner", "its KID at the end"
    )
    sooner = []
    for seed in range(options.seeds):
        plain, ours = race(task, judge, options, seed)
        target = plain[-1][1]
        reached = next((seconds for seconds, kid in ours if kid <= target), float("inf"))
        sooner.append(plain[-1][0] / reached)
        cells = (target, plain[-1][0], reached, sooner[-1], ours[-1][1])
        table.add_row(str(seed), *(f"{cell:.3g}" for cell in cells))
    table.add_row("median", "", "", "", f"{median(sooner):.3g}", "")
    Console(width=120).print(table)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", help="digits, or the archive of Fashion-MNIST")
    for name, default in (("iterations", 300), ("seeds", 3), ("width", 16), ("batch", 64)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--set-to", action="append", default=[], metavar="KEY=VALUE", help="of augmint's Config")
    return parser.parse_args()


Curve = list[tuple[float, float]]  # seconds of training, KID


def race(task: Task, judge: Judge, options: argparse.Namespace, seed: int) -> tuple[Curve, Curve]:
    """Both curves."""
    shape = Shape(task.train.images.shape[-1], task.train.images.shape[1], 10, 64, options.width)
    torch.manual_seed(seed)
    generator, critic = (fresh_network(Config(kimg=1), part, shape, seed) for part in ("generator", "critic"))
    images, labels = (torch.from_numpy(array) for array in (task.train.images, task.train.labels))
    plain = Plain(generator, critic, images, labels, batch_size=options.batch)
    trainer = _ours(task, options, seed, plain)
    total = options.iterations
    one = _curve(plain.iteration, plain.generator, judge, total, f"seed {seed}, textbook")
    two = _curve(trainer.iteration, trainer.ema, judge, trainer.config.iterations, f"seed {seed}, augmint")
    turns = [point for pair in zip_longest(one, two) for point in pair]  # in turn, as the text above says
    return [point for point in turns[::2] if point], [point for point in turns[1::2] if point]


def _ours(task: Task, options: argparse.Namespace, seed: int, plain: Plain) -> Trainer:
    """augmint with the budget that takes :data:`SHARE` of the textbook loop's time, by a few timed iterations."""
    fast = has_bfloat16(torch.device("cpu"))
    chosen = {key: _value(value) for key, value in (pair.split("=", 1) for pair in options.set_to)}
    fields = {"batch_size": options.batch, "width": options.width, "precision": "bfloat16" if fast else "float32"}
    config = Config(kimg=1, **fields | chosen)
    trial = Trainer.on_images(config, task.train, seed, torch.device("cpu"))
    ratio = _seconds(plain.iteration) / _seconds(trial.iteration)
    kimg = options.iterations * SHARE * ratio * config.images_per_iteration / 1000
    return Trainer.on_images(replace(config, kimg=kimg), task.train, seed, torch.device("cpu"))


def _value(text: str) -> object:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return tuple(filter(None, text.split(","))) if "," in text else text


def _seconds(work: Callable[[], object]) -> float:
    times = []
    for _ in range(4):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def _curve(
    work: Callable[[], object], generator: Network, judge: Judge, iterations: int, what: str
) -> Iterator[tuple[float, float]]:
    seconds, every = 0.0, max(1, iterations // POINTS)
    for done in range(1, iterations + 1):
        began = time.perf_counter()
        work()
        seconds += time.perf_counter() - began
        if done % every == 0 or done == iterations:
            value = judge.kid(generator)
            print(f"{what}: {done}/{iterations} iterations, {seconds:.1f} s, KID {value:.4f}", flush=True)
            yield seconds, value


if __name__ == "__main__":
    main()
