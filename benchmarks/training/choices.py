"""What single choices cost or gain in sample quality: equal kimg, equal networks, several seeds, one choice changed.

    python benchmarks/training/choices.py precision|penalty|augment|labels|tools|recipe [--set digits] [--kimg 60]
        [--seeds 3]

KID and coverage are in the features of a classifier trained on the whole train set, between 1,000 samples and held-out
images; KID is shown in thousandths. Every run adds a line to the results, and those that are there are not run again.
One thread.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from sets import Judge, Task, digits, fashion, long_tail

from gan.config import Config
from gan.probe import EVERY, Probe
from gan.trainer import Labelled, Trainer

WATCHED = 150  # held-out images that an adaptive augmentation goes by
SIZES = (100, 300, 1000)  # train images, where the choice hangs on them
TAILED = ("labels", "tools")
TAIL = 100, 4  # images of the first and of the last class
CHOICES: dict[str, dict[str, dict[str, Any]]] = {
    "precision": {"bfloat16": {}, "float32": {"precision": "float32"}},
    "penalty": {
        "half of the batch": {},
        "whole batch": {"penalty_fraction": 1.0},
        "every 4th step": {"penalty_every": 4},
    },
    "augment": {"none": {"augment": ()}, "adaptive": {"adaptive": True}, "fixed": {}},
    "labels": {"from the start": {}, "after 40 %": {"label_delay": 0.4}},  # on a long tail
    "tools": {  # on a long tail
        "none": {},
        "lecam 0.3": {"lecam": 0.3},
        "lecam 0.01": {"lecam": 0.01},
        "spectral norms": {"spectral_weight": 0.5},
        "class prior": {"latent_prior": "class"},
        "unlabelled at 4 pixels": {"unlabelled_below": 4},
        "feature matching": {"feature_matching": 1.0},
        "comparisons": {"minibatch_discrimination": 4},
        "historical averaging": {"historical_averaging": 0.01},
    },
    "recipe": {name: {"recipe": name} for name in ("wgan-gp", "wgan-lp", "gan", "r3")},
}


def main() -> None:
    """Runs what is missing, then prints a row a setting."""
    options = _options()
    torch.set_num_threads(1)
    task = digits() if options.set == "digits" else fashion(Path(options.set))
    judge = Judge(task)
    task = long_tail(task, *TAIL) if options.choice in TAILED else task
    sizes = SIZES if options.choice == "augment" else (len(task.train.labels),)
    title = f"{options.set}, {options.kimg:g} kimg"
    table = Table("train images", options.choice, "KID x 1000", "by seed", "coverage", "by seed", title=title)
    for size in sizes:
        for name, change in CHOICES[options.choice].items():
            found = [_result(options, task, judge, size, change, seed) for seed in range(options.seeds)]
            cells = [
                cell
                for column, digits in zip(zip(*found, strict=True), (1, 3), strict=True)
                for cell in _cells(column, digits)
            ]
            table.add_row(f"{size:,}", name, *cells)
    Console(width=110).print(table)


def _cells(values: Sequence[float], digits: int) -> tuple[str, str]:
    """Mean and spread over seeds, and each seed's."""
    spread = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{mean(values):.{digits}f}{spread}", ", ".join(f"{value:.{digits}f}" for value in values)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("choice", choices=CHOICES)
    parser.add_argument("--set", default="digits", help="digits, or the archive of Fashion-MNIST")
    parser.add_argument("--kimg", type=float, default=60.0, help="budget of a run")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--results", type=Path, default=Path("choices.jsonl"))
    return parser.parse_args()


def _result(
    options: argparse.Namespace, task: Task, judge: Judge, size: int, change: dict[str, Any], seed: int
) -> tuple[float, float]:
    """A run's KID in thousandths and its coverage, looked up or made."""
    choices = {
        "recipe": "wgan-gp",
        "kimg": options.kimg,
        "width": options.width,
        "precision": "bfloat16",
        "balance": 1.0,
    }
    choices |= change
    name = {"set": Path(options.set).name, "size": size, "seed": seed} | choices
    name = json.loads(json.dumps(name))  # as it is read back
    lines = options.results.read_text().splitlines() if options.results.exists() else []
    for row in map(json.loads, lines):
        if row["run"] == name:
            return float(row["kid"]), float(row["coverage"])
    data = Labelled(task.train.images[:size], task.train.labels[:size], task.train.classes)
    trainer = Trainer.on_images(Config.of(**choices), data, seed, torch.device("cpu"))
    probe = Probe(trainer, data, Labelled(task.held_out[:WATCHED], task.held_out_labels[:WATCHED], data.classes))
    began = time.process_time()
    for _ in range(trainer.config.iterations):
        trainer.iteration()
        if probe.look():
            trainer.adapt(probe.overfitting, EVERY * trainer.config.images_per_iteration)
    seconds = time.process_time() - began
    kid, coverage = judge.judged(trainer.ema)
    row = {"run": name, "kid": 1000 * kid, "coverage": coverage, "seconds": seconds}
    with options.results.open("a") as file:
        file.write(json.dumps(row) + "\n")
    print(json.dumps(row), flush=True)
    return 1000 * kid, coverage


if __name__ == "__main__":
    main()
