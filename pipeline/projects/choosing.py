"""The choices that fit a set of images and this machine, each with the reason that stands beside it.

What is not chosen here keeps its default of :mod:`pipeline.params`.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.experiment import costs
from pipeline.export.plan import settled, wanted
from pipeline.params import ClassifyParams
from pipeline.projects import mirroring
from pipeline.projects.looking import Look, Sides
from pipeline.projects.measuring import Machine, Speed
from pipeline.training.automatic import SMALL, chosen_recipe
from pipeline.wording import listed

ROUND = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0)
"""Numbers are rounded down to these times a power of ten, so that the same machine gives the same choice twice."""

KIMG = (3.0, 400.0)
"""Least and most thousands of images: of less a generator draws noise, of more small sets are learnt by heart."""

DRAWN = 20_000
"""Synthetic images at dose 1, at most: to draw, filter and score more takes hours and tells no more."""

FEW = 20
"""Train images of a class below which `classify.force: false` gives it no synthetic images."""

LEAST_STEPS = 100
"""Of a classifier: one of fewer says nothing of the images."""

ASKED = 1000
"""Synthetic images that a classifier is asked about."""

WITH_IT = "goes with the recipe and the network"
"""The reason of what follows from another choice."""

LARGE = 1000
"""Train images a class from which synthetic ones have hardly ever been seen to help."""

Key = tuple[str, ...]


@dataclass(frozen=True)
class Choice:
    """One key of params.yaml.

    Attributes:
        key: such as ``("train", "kimg")``.
        value: as YAML has it.
        why: the reason, in a sentence without a full stop.
    """

    key: Key
    value: Any
    why: str


def chosen_size(sides: Sides, asked: int | None, device: str) -> Choice:
    """``data.image_size``, from the images' shorter sides."""
    key = ("data", "image_size")
    span = f"{sides.least} to {sides.most}, in the middle {sides.middle}" if sides.least < sides.most else sides.least
    said = f"the shorter sides are {span} pixels"
    if asked is not None:
        beyond = ", so most images are enlarged" if asked > sides.middle else ""
        return Choice(key, asked, f"as asked for; {said}{beyond}")
    most = 64 if device == "cpu" else 128
    if sides.middle <= most:
        size = min(most, max(8, sides.middle))
        return Choice(key, size, f"their own size: {said}")
    return Choice(key, most, f"{said}; above {most} a step takes too long on a {_called(device)}")


def fractions(count: int, given: Sequence[str]) -> list[Choice]:
    """Shares of the images that are held out, where the source gives no such splits."""
    val = _two_digits(min(0.15, max(0.02, 2000 / count)))
    test = _two_digits(min(0.30, max(0.10, 6000 / count)))
    chosen = []
    for name, value in (("val", val), ("test", test)):
        drawn = f"about {round(count * value):,} images"
        why = f"not used: the source gives its own {name}" if name in given else drawn
        chosen.append(Choice(("data", f"{name}_fraction"), value, why))
    return chosen


def networks(size: int, device: str) -> list[Choice]:
    """Recipe and network, as ``auto`` would choose them: see :mod:`pipeline.training.automatic`."""
    values, why = chosen_recipe(size, device)
    if device == "cpu" and size >= SMALL:
        values = values | {"width": 16, "batch_size": 32, "ema_kimg": 3.0}
    return [Choice(("train", key), value, why if key == "recipe" else WITH_IT) for key, value in values.items()]


def training(look: Look, speed: Speed, minutes: float, keep: float | None = None) -> list[Choice]:
    """The budget, and what hangs on it.

    Args:
        look: at the set.
        speed: of this machine.
        minutes: aimed at.
        keep: the budget of a project that is there already, which stays if it is within a factor of two.
    """
    fitting = minutes * 60 / speed.kimg_seconds
    kimg = rounded(min(KIMG[1], max(KIMG[0], fitting)))
    if keep is not None and kimg / 2 <= keep <= kimg * 2:
        kimg = keep
    why = f"fits the {minutes:g} minutes aimed at, by the step measured here"
    why = f"the most that pays, in less than the {minutes:g} minutes aimed at" if kimg >= KIMG[1] else why
    why = f"the least that draws anything; the {minutes:g} minutes aimed at are too few" if fitting < KIMG[0] else why
    per_class = look.train
    few = min(per_class) < 50
    chosen = [
        Choice(("train", "kimg"), kimg, why),
        Choice(("train", "snapshot_kimg"), max(1.0, rounded(kimg / 20)), "twenty looks at the generator"),
        Choice(("train", "grid_kimg"), max(1.0, rounded(kimg / 10)), "ten pictures on the way"),
    ]
    if max(per_class) >= 2 * min(per_class):
        chosen.append(Choice(("train", "balance"), 1.0, f"classes of {min(per_class):,} to {max(per_class):,} images"))
    if few and max(per_class) >= 5 * min(per_class):
        why = f"classes of {min(per_class)} images inherit from the others what images look like"
        chosen.append(Choice(("train", "label_delay"), 0.4, why))
    if look.mirrored is not None:
        chosen.append(Choice(("train", "mirror"), look.mirrored.kind, mirroring.why(look.mirrored)))
    return chosen


def exporting(look: Look) -> list[Choice]:
    """How many synthetic images, and what becomes of a set that fails a gate."""
    train = look.train
    balance = settled("auto", train)
    total = sum(wanted(train, [balance] * len(train)))
    chosen = [
        Choice(
            ("export", "force"),
            True,
            "so that the first run ends in a report; the set says which gates it failed. false before you pass it on",
        )
    ]
    if total <= DRAWN:
        what = "fills every class to the largest" if balance == "max" else "one for each image of a balanced set"
        return [Choice(("export", "balance"), "auto", f"{what}, {total:,} synthetic images"), *chosen]
    ratio = max(0.01, math.floor(100 * DRAWN / sum(train)) / 100)
    why = f"{DRAWN:,} synthetic images at most, for {sum(train):,} real ones; auto would draw {total:,}"
    return [Choice(("export", "balance"), ratio, why), *chosen]


def experiment(look: Look, speed: Speed, machine: Machine, minutes: float, keep: int | None = None) -> Iterator[Choice]:
    """Seeds that the test split can carry, and steps that fit the time.

    Args:
        look: at the set.
        speed: of this machine.
        machine: the same.
        minutes: aimed at.
        keep: the steps of a project that is there already, which stay if they are within a factor of two.
    """
    train, test = look.train, look.counts["test"].tolist()
    noise = _noise(test)
    seeds = 10 if noise < 0.005 else 6 if noise < 0.015 else 5
    why = f"{sum(test):,} test images alone leave ±{100 * noise:.1f} points, which no number of seeds makes smaller"
    yield Choice(("classify", "seeds"), seeds, why)
    rich = ClassifyParams(seeds=seeds)
    lean = rich.model_copy(update={"doses": (0.5, 1.0, 2.0), "tuning": rich.tuning[:1], "tuning_seeds": 1})
    enough = rounded(max(160.0, min(1000.0, 25 * sum(train) / rich.batch_size)))
    plan = rich if _fitting(rich, look, speed, machine, minutes) >= enough / 2 else lean
    fitting = _fitting(plan, look, speed, machine, minutes)
    steps = int(rounded(max(LEAST_STEPS, min(enough, fitting))))
    if keep is not None and steps / 2 <= keep <= steps * 2:
        steps = keep
    if plan is lean:
        less = "fewer than usual, to fit the time aimed at"
        yield Choice(("classify", "doses"), list(lean.doses), less)
        yield Choice(("classify", "tuning"), [list(pair) for pair in lean.tuning], less)
        yield Choice(("classify", "tuning_seeds"), lean.tuning_seeds, less)
    why = f"{steps * rich.batch_size / sum(train):.2g} passes over {sum(train):,} train images"
    why += f"; the least that teaches anything: {minutes:g} minutes are too few" if fitting < LEAST_STEPS else ""
    yield Choice(("classify", "steps"), steps, why)
    filled = [n for n, made in zip(train, wanted(train, [settled("auto", train)] * len(train)), strict=True) if made]
    if filled and max(filled) < FEW:
        why = f"every class that gets synthetic images has fewer than {FEW} train images; what they are worth is tested"
        yield Choice(("classify", "force"), True, why)


def classify_minutes(params: ClassifyParams, look: Look, speed: Speed, machine: Machine) -> float:
    """What the experiment takes, about: training, and asking every classifier about val, test and synthetic images."""
    asked = int(look.counts["val"].sum() + look.counts["test"].sum()) + ASKED
    workers = 1 if machine.device == "cuda" else machine.cores
    return costs.seconds(params, speed.classifier, asked) / workers / 60


def _fitting(params: ClassifyParams, look: Look, speed: Speed, machine: Machine, minutes: float) -> float:
    """The steps that fit so many minutes; below zero where not even the asking does."""
    none, one = (params.model_copy(update={"steps": steps}) for steps in (0, 1))
    before, after = (classify_minutes(each, look, speed, machine) for each in (none, one))
    return (minutes - before) / (after - before)


def advice(look: Look) -> list[str]:
    """What a user should know of such a set before anything is trained."""
    train, test = look.counts["train"].tolist(), look.counts["test"].tolist()
    names = look.classes
    said = []
    if few := [name for name, count in zip(names, train, strict=True) if count < FEW]:
        said.append(
            f"fewer than {FEW} train images of {listed(few)}: a generator can hardly learn them; a few dozen more real "
            "images are worth more than anything that is drawn"
        )
    if min(train) >= LARGE and max(train) < 2 * min(train):
        said.append(
            f"{min(train):,} train images a class and more, about equally many: synthetic images have hardly ever been "
            "seen to help such a set; expect EQUIVALENT or INCONCLUSIVE"
        )
    if thin := [name for name, count in zip(names, test, strict=True) if count < 10]:
        said.append(f"fewer than 10 test images of {listed(thin)}: the verdict will be wide; it is honest about that")
    return said


def _noise(test: list[int]) -> float:
    """Half of the 95 % interval of a difference of balanced accuracy that the test images alone leave.

    Two classifiers that disagree on one image in ten: the variance of a class's recall difference is 0.1 / n.
    """
    variance = sum(0.1 / max(1, count) for count in test) / len(test) ** 2
    return 1.96 * math.sqrt(variance)


def _called(device: str) -> str:
    return "processor" if device == "cpu" else "GPU"


def _two_digits(value: float) -> float:
    return math.floor(value * 100 + 0.5) / 100


def rounded(value: float) -> float:
    """``value`` rounded down to :data:`ROUND`.

    >>> rounded(187.0), rounded(0.08)
    (150.0, 0.07)
    """
    power = 10.0 ** math.floor(math.log10(value))
    return round(max(step for step in ROUND if step * power <= value * (1 + 1e-9)) * power, 6)
