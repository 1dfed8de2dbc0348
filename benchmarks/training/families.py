"""What each family of networks makes of a set in the same time: KID, coverage, the spectrum's drift, speed, memory.

    python benchmarks/training/families.py FOLDER [--seconds 120] [--seeds 3] [--width 16] [--precision float32]
    python benchmarks/training/families.py FOLDER --ways r3:dcgan stylegan2:stylegan2 --plain
    python benchmarks/training/families.py FOLDER --recipes wgan-gp wgan-lp r3 --families dcgan resnet

FOLDER is a project whose `data/store` is made (`augmint ingest`). A way is RECIPE:FAMILY, with further choices behind
commas, such as r3:dcgan,penalty_every=4; `--recipes` and `--families` are crossed. Rates are those of recipe and
family at the set's size. All train on the train split for the same processor time of one thread, with learning rates
that fall towards its end, and are compared to all held-out images; the time to compare does not count. KID is in the
features of a classifier of the train split and shown in thousandths. The held-out images are parted: what is drawn is
compared to one half, and so is the other half, which tells what real images score: behind the drift of the spectrum
stands how many times that of real images it is. Each run adds a line to the results, and is not run again.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import numpy as np
import torch
from processor import use_plain
from rich.console import Console
from rich.table import Table
from ruamel.yaml import YAML

from gan.config import Config, for_size
from gan.memory import peak_bytes
from gan.networks import FAMILIES, Network
from gan.pixels import to_pixels
from gan.recipes import RECIPES
from gan.trainer import Labelled, Trainer
from pipeline.classifier.network import SmallResNet
from pipeline.classifier.training import Recipe, features, fit
from pipeline.metrics.drift import mean_shift, spectra
from pipeline.metrics.kid import kid
from pipeline.metrics.manifold import coverage
from pipeline.store import Store

WAYS = (
    *("wgan-gp:resnet", "wgan-gp:dcgan", "wgan-gp:progressive", "wgan-gp:stylegan2", "wgan-gp:r3"),
    *("r3:dcgan,penalty_every=4,burn_in=0.0", "r3:resnet,penalty_every=4,burn_in=0.0", "r3:r3", "stylegan2:stylegan2"),
)
MARKS = (1 / 8, 1 / 4, 1 / 2, 1.0)  # of the time, when the averaged generator is judged
NEIGHBOURS = 5


class Scores(NamedTuple):
    """KID in thousandths, coverage, and the drift of the spectrum in dB."""

    kid: float
    coverage: float
    drift: float


class Judge:
    """Compares images to half of the held-out ones, as many of each class as that half has.

    Attributes:
        real: what the other half scores.
    """

    def __init__(self, store: Store, samples: int) -> None:
        train, parts = store.split("train"), [store.split(name) for name in ("val", "test") if len(store.split(name))]
        images = np.concatenate([part.images for part in parts])
        labels = np.concatenate([part.labels for part in parts])
        order = np.random.default_rng(0).permutation(len(labels))
        half = min(samples, len(labels) // 2)
        self.images, self.labels = images[order[:half]], labels[order[:half]]
        _, channels, size, _ = images.shape
        self.network = SmallResNet(len(store.classes), channels, size, seed=0)
        recipe = Recipe(balance="oversampling", augment="affine")
        fit(self.network, train.images, train.labels, seed=0, steps=400, recipe=recipe, lr=2e-2)
        self.features = features(self.network, self.images)
        other = order[half : 2 * half]
        self.real = self.of_images(images[other], labels[other])

    def of_images(self, images: np.ndarray, labels: np.ndarray) -> Scores:
        """Scores of images, uint8 (N, C, H, W), with labels (N,)."""
        made = features(self.network, images)
        return Scores(
            1000 * kid(made, self.features, labels, self.labels).value,
            coverage(self.features, made, NEIGHBOURS),
            mean_shift(spectra(images), spectra(self.images)),
        )

    @torch.inference_mode()
    def of_generator(self, generator: Network) -> Scores:
        """Scores of one image for each held-out one, of the same class, always from the same latents."""
        labels = torch.from_numpy(self.labels)
        z = torch.randn(len(labels), generator.shape.latent_dim, generator=torch.Generator().manual_seed(0))
        generator.eval()
        parts = [to_pixels(generator(a, b).float()) for a, b in zip(z.split(100), labels.split(100), strict=True)]
        return self.of_images(torch.cat(parts).numpy(), self.labels)


def main() -> None:
    """Runs what is missing, then prints a row a way."""
    options = _options()
    if options.plain:
        use_plain()
    torch.set_num_threads(1)
    store = Store.open(options.folder / "data" / "store")
    judge = Judge(store, options.samples)
    train = store.split("train")
    data = Labelled(np.asarray(train.images), np.asarray(train.labels), len(store.classes))
    table = Table(
        "way", title=f"{options.folder.resolve().name}, {options.seconds:g} s of one thread, {_processor(options)}"
    )
    for heading in (
        "parameters",
        "images/s",
        "MiB told",
        *(f"KID {mark:.0%}" for mark in MARKS),
        "coverage",
        "drift dB",
    ):
        table.add_column(heading, justify="right")
    for way in options.ways:
        runs = [_result(options, way, data, judge, seed) for seed in range(options.seeds)]
        table.add_row(way, *_row(runs, judge.real.drift))
    table.add_row("real images", *[""] * (2 + len(MARKS)), *_cells(judge.real, judge.real.drift))
    Console(width=160).print(table)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a project with data/store in it")
    parser.add_argument("--ways", nargs="+", help="without these, and without recipes: those of docs/benchmarks.md")
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=[], help="each with each of the families")
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--seconds", type=float, default=120.0, help="of processor time, for each run")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=1000, help="held-out images to compare with, at most")
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--plain", action="store_true", help="as on a processor without AVX-512")
    parser.add_argument("--results", type=Path, default=Path("families.jsonl"))
    options = parser.parse_args()
    crossed = [f"{recipe}:{family}" for recipe in options.recipes for family in options.families]
    options.ways = [*(options.ways or []), *crossed] or list(WAYS)
    return options


def _processor(options: argparse.Namespace) -> str:
    return f"{'plain, ' if options.plain else ''}{options.precision}"


def _config(options: argparse.Namespace, way: str, image_size: int) -> Config:
    names, *further = way.split(",")
    recipe, family = names.split(":")
    choices: dict[str, Any] = {
        **{"family": family, "kimg": float("inf"), "batch_size": options.batch, "width": options.width},
        **{"precision": options.precision, "balance": 1.0, "ema_kimg": 3.0, **for_size(recipe, family, image_size)},
    }
    for choice in further:
        name, _, value = choice.partition("=")
        choices[name] = YAML(typ="safe").load(value)
    return Config.of(recipe, **choices)


def _result(options: argparse.Namespace, way: str, data: Labelled, judge: Judge, seed: int) -> dict[str, Any]:
    """A run's figures, looked up or made."""
    name = {"set": options.folder.resolve().name, "way": way, "seed": seed, "processor": _processor(options)}
    name |= {key: getattr(options, key) for key in ("seconds", "width", "batch", "samples")}
    lines = options.results.read_text(encoding="utf-8").splitlines() if options.results.exists() else []
    for row in map(json.loads, lines):
        if row["run"] == name:
            return dict(row)
    row = {"run": name} | _run(_config(options, way, data.images.shape[-1]), data, judge, seed, options.seconds)
    with options.results.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    print(json.dumps(row), file=sys.stderr, flush=True)
    return row


def _run(config: Config, data: Labelled, judge: Judge, seed: int, seconds: float) -> dict[str, Any]:
    trainer = Trainer.on_images(config, data, seed, torch.device("cpu"))
    counted = [sum(p.numel() for p in network.parameters()) for network in (trainer.generator, trainer.critic)]
    spent, curve, marks = 0.0, [], list(MARKS)
    while marks:
        began = time.process_time()
        trainer.iteration(min(1.0, spent / seconds))
        spent += time.process_time() - began
        if spent >= marks[0] * seconds:
            marks.pop(0)
            curve.append(judge.of_generator(trainer.ema)._asdict() | {"seconds": round(spent, 1)})
    told = peak_bytes(config, trainer.generator.shape, torch.device("cpu")) / 2**20
    images = trainer.done * config.images_per_iteration
    return {"curve": curve, "images": images, "rate": images / spent, "parameters": counted, "told_mib": told}


def _row(runs: list[dict[str, Any]], floor: float) -> list[str]:
    last = [Scores(*(run["curve"][-1][name] for name in Scores._fields)) for run in runs]
    kids = [[run["curve"][place]["kid"] for run in runs] for place in range(len(MARKS))]
    shown = [f"{mean(values):.1f}" for values in kids[:-1]]
    spread = f" ({min(kids[-1]):.1f} to {max(kids[-1]):.1f})" if len(runs) > 1 else ""
    mid = Scores(*(mean(values) for values in zip(*last, strict=True)))
    generator, critic = runs[0]["parameters"]
    rate, told = mean(run["rate"] for run in runs), runs[0]["told_mib"]
    size = f"{generator / 1e6:.2f} + {critic / 1e6:.2f} M"
    cells = _cells(mid, floor)
    return [size, f"{rate:,.0f}", f"{told:,.0f}", *shown, cells[0] + spread, *cells[1:]]


def _cells(scores: Scores, floor: float) -> list[str]:
    return [f"{scores.kid:.1f}", f"{scores.coverage:.2f}", f"{scores.drift:.2f} ({scores.drift / floor:.1f} x)"]


if __name__ == "__main__":
    main()
