"""Modes found by every recipe, with packing and with mini-batch standard deviation, beside published figures.

    python -m benchmarks.modes gaussians|digits [--seeds 5] [--kimg K] [--results FILE]

Every run adds a line to the results, and those that are there are not run again: stop it and go on at will. One thread.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean, pstdev
from typing import Any, NamedTuple

import torch

from benchmarks.modes import digits, gaussians
from gan.config import Config
from gan.networks import Network
from gan.recipes import RECIPES
from gan.trainer import Trainer

BCE = {"recipe": "gan", "penalty": "none", "critic_lr": 2e-4, "generator_lr": 2e-4, "beta1": 0.5}
EXTRAS: dict[str, dict[str, Any]] = {
    "packing 2": {"packing": 2},
    "packing 4": {"packing": 4},
    "mini-batch std": {"minibatch_std": 4},
}
ARMS: dict[str, dict[str, Any]] = {
    **{recipe: {"recipe": recipe} for recipe in ("wgan-gp", "wgan-lp", "gan", "r3", "stylegan2")},
    "stylegan2, resnet": {"recipe": "stylegan2", "family": "resnet"},
    # its own rates, whatever the task's: clipped weights bear no others
    "wgan": {"recipe": "wgan", **{rate: RECIPES["wgan"][rate] for rate in ("critic_lr", "generator_lr")}},
    "BCE, no penalty": BCE,
    **{f"wgan-gp, {name}": {"recipe": "wgan-gp", **extra} for name, extra in EXTRAS.items()},
    **{f"BCE, no penalty, {name}": BCE | extra for name, extra in EXTRAS.items()},
}


class Task(NamedTuple):
    """One set with known modes.

    Attributes:
        base: settings of all arms, which an arm's own win over.
        for_recipe: those that go with a recipe on this set, which win over both.
        trainer: of a configuration and a seed.
        score: of a generator and a seed, the figures by name.
        published: what papers report, as they print it.
    """

    base: dict[str, Any]
    for_recipe: dict[str, dict[str, Any]]
    trainer: Callable[[Config, int], Trainer]
    score: Callable[[Network, int], dict[str, float]]
    published: str

    def own(self, arm: str) -> dict[str, Any]:
        """What the arm's recipe has on this set."""
        return self.for_recipe.get(ARMS[arm]["recipe"], {})


def _score_gaussians(network: Network, seed: int) -> dict[str, float]:
    found = gaussians.coverage(gaussians.sample(network, seed))
    return {"modes": found.modes, "good": found.good}


def _score_digits(network: Network, seed: int) -> dict[str, float]:
    found = digits.coverage(digits.sample(network, seed))
    return {"modes": found.modes, "reverse KL": found.reverse_kl}


TASKS = {
    "gaussians": Task(
        gaussians.SETTINGS,
        gaussians.FOR_RECIPE,
        gaussians.trainer,
        _score_gaussians,
        "Published, of 25 modes: GAN 17.3, PacGAN4 24.8 (Lin et al. 2018).",
    ),
    "digits": Task(
        digits.SETTINGS,
        {},
        digits.trainer,
        _score_digits,
        "Published on stacked MNIST, 28x28, of 1,000 modes: DCGAN 78.9, VEEGAN 150, PacDCGAN2 1,000 (KL 0.06).",
    ),
}


def main() -> None:
    """Runs what is missing, then prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.modes")
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--kimg", type=float, help="budget of a run")
    parser.add_argument("--arms", nargs="*", choices=ARMS, help="default: all that differ on this set")
    parser.add_argument("--results", type=Path, help="default: modes-TASK.jsonl")
    options = parser.parse_args()
    torch.set_num_threads(1)
    task, results = TASKS[options.task], options.results or Path(f"modes-{options.task}.jsonl")
    base = task.base | ({"kimg": options.kimg} if options.kimg else {})
    # the settings are a part of a run's name: other settings are other runs
    names = {arm: {"arm": arm, "kimg": base["kimg"], "settings": task.own(arm)} for arm in ARMS}
    for seed in range(options.seeds):
        for arm in options.arms or _differing(task):
            name = names[arm] | {"seed": seed}
            if not any(name.items() <= row.items() for row in _rows(results)):
                row = name | _run(task, base | ARMS[arm] | task.own(arm), seed)
                with results.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(json.dumps(row), flush=True)
    _print_table([row for row in _rows(results) if names[row["arm"]].items() <= row.items()], task.published)


def _differing(task: Task) -> list[str]:
    """The arms, without those whose settings on this set another one has."""
    settings = {arm: ARMS[arm] | task.own(arm) for arm in ARMS}
    return [arm for number, arm in enumerate(ARMS) if settings[arm] not in list(settings.values())[:number]]


def _rows(results: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()] if results.exists() else []


def _run(task: Task, choices: dict[str, Any], seed: int) -> dict[str, float]:
    config = Config.of(**choices)
    trainer = task.trainer(config, seed)
    start = time.process_time()
    for _ in range(config.iterations):
        trainer.iteration()
    return task.score(trainer.ema, seed) | {"seconds": time.process_time() - start}


def _print_table(rows: list[dict[str, Any]], published: str) -> None:
    """Markdown: means over the seeds, with their standard deviation."""
    figures = [key for key in rows[0] if key not in ("arm", "seed", "kimg", "settings")]
    print(f"\n| {rows[0]['kimg']:g} kimg | seeds | {' | '.join(figures)} |")
    print(f"| --- |{' ---: |' * (1 + len(figures))}")
    for arm in ARMS:
        runs = [row for row in rows if row["arm"] == arm]
        if runs:
            cells = (f"{mean(r[key] for r in runs):.4g} ± {pstdev(r[key] for r in runs):.2g}" for key in figures)
            print(f"| {arm} | {len(runs)} | {' | '.join(cells)} |")
    print(f"\n{published}")


if __name__ == "__main__":
    main()
