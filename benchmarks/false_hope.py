"""Does the verdict find help where there is none, and miss it where there is some? On the digits' long tail.

Something else stands in the place of the synthetic images: duplicates of the train images, noise, or another class's
train images, none of which may help; or real images that had been held back, which must. Each run has another split and
other seeds. One process runs one kind; the table is made from a CSV file, to which every finished run adds a row, so
that the work can be cut in pieces and done side by side:

    python benchmarks/false_hope.py --kind noise --runs 20
    python benchmarks/false_hope.py --table
"""

import argparse
import csv
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits

from pipeline.experiment.adjustment import counts
from pipeline.experiment.pool import Pool, save
from pipeline.experiment.runner import Runner
from pipeline.experiment.search import available_doses, experiment, trials
from pipeline.experiment.summary import summarise
from pipeline.experiment.trial import TrialSetup
from pipeline.params import ClassifyParams, Params
from pipeline.progress import Progress
from pipeline.store import Store, write_store
from pipeline.workers import Local

HEAD, TAIL, VAL, TEST = 90, 4, 200, 540
FIELDS = ("kind", "run", "verdict", "delta", "low", "high", "baseline", "dose")
SHORT = {"seeds": 5, "draws": 2, "tuning_seeds": 1, "steps": 40, "batch_size": 32, "width": 8, "bootstrap": 1000}
SETTING = ClassifyParams(doses=(0.25,), tuning=((2e-2, 5e-2),), **SHORT)  # type: ignore[arg-type]

Images = tuple[np.ndarray, np.ndarray]


def duplicates(train: Images, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Train images of the class itself."""
    return np.stack([train[0][rng.choice(np.flatnonzero(train[1] == label))] for label in labels])


def noise(train: Images, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pixels with the train images' distribution, but no order."""
    return rng.choice(train[0].ravel(), (len(labels), *train[0].shape[1:]))


def other(train: Images, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Train images of the next class."""
    return duplicates(train, (labels + 1) % 10, rng)


FALSE: dict[str, Callable[[Images, np.ndarray, np.random.Generator], np.ndarray]] = {
    "duplicates": duplicates,
    "noise": noise,
    "other": other,
}
KINDS = (*FALSE, "held-back")


def split(rng: np.random.Generator) -> tuple[Images, Images, Images, Images]:
    """Train (a long tail), val, test, and what had been thinned out of train."""
    pixels, targets = load_digits(return_X_y=True)
    images = np.round(pixels * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    order = rng.permutation(len(targets))
    images, labels = images[order], targets[order].astype(np.int64)
    held, rest = np.arange(VAL + TEST), np.arange(VAL + TEST, len(labels))
    sizes = np.round(HEAD * (TAIL / HEAD) ** (np.arange(10) / 9)).astype(int)
    members = [rest[labels[rest] == c] for c in range(10)]
    train = np.concatenate([rows[:size] for rows, size in zip(members, sizes, strict=True)])
    spare = np.concatenate([rows[size:HEAD] for rows, size in zip(members, sizes, strict=True)])
    first, second, third, fourth = ((images[r], labels[r]) for r in (train, held[:VAL], held[VAL:], spare))
    return first, second, third, fourth


def run(kind: str, number: int, folder: Path, draws: int, seeds: int) -> dict[str, object]:
    """One experiment; its row of the CSV file."""
    classify = SETTING.model_copy(update={"draws": draws, "seeds": seeds})
    rng = np.random.default_rng(number)
    train, val, test, spare = split(rng)
    parts = {"train": train[1], "val": val[1], "test": test[1]}
    blocks = [part[0] for part in (train, val, test)]
    classes = [str(digit) for digit in range(10)]
    (folder / "store").mkdir()
    write_store(folder / "store", blocks, parts, classes, (1, 8, 8), {})  # type: ignore[arg-type]
    images = spare[0] if kind == "held-back" else FALSE[kind](train, spare[1], rng)
    unit = np.bincount(spare[1], minlength=10)
    belongs = np.concatenate([np.arange(count) % draws for count in unit])
    save(folder / "pool", images, spare[1], belongs, unit)
    store, pool = Store.open(folder / "store"), Pool.open(folder / "pool")
    params = Params(seed=number, classify=classify)
    doses = available_doses(pool, classify)
    setting = TrialSetup(folder, folder / "store", folder / "pool", classify)
    progress = Progress(trials(classify, len(doses), alone=False), f"{kind} {number}", "classifiers")
    with Runner(number, setting, folder, progress, workers=Local(1)) as runner:
        found = experiment(runner, classify, doses, counts(store, pool), store.split("val").labels)
    result = summarise(params, store, pool, found)
    low, high = result["ci95"]
    told = {"delta": result["delta"], "low": low, "high": high, "baseline": result["baseline"], "dose": result["dose"]}
    return {"kind": kind, "run": number, "verdict": result["verdict"]} | told


def table(file: Path) -> str:
    """What the runs so far gave, in Markdown."""
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    out = ["| in the place of synthetic | runs | HELPS | HURTS | EQUIVALENT | INCONCLUSIVE | mean difference |"]
    out.append("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for kind in KINDS:
        own = [row for row in rows if row["kind"] == kind]
        if own:
            counts = Counter(row["verdict"] for row in own)
            mean = float(np.mean([float(row["delta"]) for row in own])) * 100
            names = ("HELPS", "HURTS", "EQUIVALENT", "INCONCLUSIVE")
            out.append(f"| {kind} | {len(own)} | {' | '.join(str(counts[n]) for n in names)} | {mean:+.1f} |")
    return "\n".join(out)


def main() -> None:
    """Runs what is asked for and not yet in the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=KINDS, help="all of them if left out")
    parser.add_argument("--runs", type=int, default=20, help="of each kind")
    parser.add_argument("--first", type=int, default=0, help="number of the first run")
    parser.add_argument("--draws", type=int, default=2, help="of the images; another number wants another file")
    parser.add_argument("--seeds", type=int, default=5, help="of the classifiers; likewise")
    parser.add_argument("--csv", type=Path, default=Path("false_hope.csv"), help="the file of finished runs")
    parser.add_argument("--table", action="store_true", help="only print the table")
    options = parser.parse_args()
    torch.set_num_threads(1)
    kinds = [] if options.table else [options.kind] if options.kind else KINDS
    options.csv.touch()
    for kind in kinds:
        for number in range(options.first, options.first + options.runs):
            with options.csv.open(newline="") as lines:
                done = {(row["kind"], row["run"]) for row in csv.DictReader(lines)}
            if (kind, str(number)) in done:
                continue
            with tempfile.TemporaryDirectory() as folder:
                row = run(kind, number, Path(folder), options.draws, options.seeds)
            with options.csv.open("a", newline="") as lines:
                writer = csv.DictWriter(lines, FIELDS)
                if not options.csv.stat().st_size:
                    writer.writeheader()
                writer.writerow(row)
            print(row, file=sys.stderr, flush=True)
    print(table(options.csv))


if __name__ == "__main__":
    main()
