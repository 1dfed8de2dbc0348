"""What to do now, in words: out of the verdict, the gates, and what training and evaluation found wrong."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pipeline.figures import FIGURES
from pipeline.gates import described
from pipeline.params import Params
from pipeline.report.wording import points
from pipeline.wording import listed

Tree = Mapping[str, Any]
MOST_SEEDS = 100  # that classify.seeds takes
FEW = 50  # train images of a class, below which generated ones often hurt
CLAIM = {"classify.seeds": 10, "classify.draws": 3, "train.seeds": 3}  # docs/verdict.md


class Step(NamedTuple):
    """One thing to do, in the imperative, and why."""

    what: str
    why: str


class Advice(NamedTuple):
    """What to do.

    Attributes:
        now: what the verdict asks for, the most important first.
        better: what would make the synthetic images better.
    """

    now: list[Step]
    better: list[Step]


def advise(params: Params, utility: Tree | None, quality: Tree | None, training: Tree | None) -> Advice:
    """What to do, from the content of ``metrics/utility.json``, ``quality.json`` and ``train.json``, each if there.

    Args:
        params: the choices that they came of.
    """
    now = list(_on_verdict(params, utility)) if utility else [_finish(quality)]
    better = [*_on_gates(quality or {}), *_on_health(training or {})]
    if utility is None or utility["verdict"] != "HELPS":
        better += _on_weakness(quality or {}, {step.what for step in better})
        better += _on_few(utility or {})
    return Advice(now, better)


def of_quality(quality: Tree) -> list[Step]:
    """What would make a set better that nothing but its figures is known of."""
    better = list(_on_gates(quality))
    return better + list(_on_weakness(quality, {step.what for step in better}))


def _finish(quality: Tree | None) -> Step:
    if quality and any(not gate["passed"] for gate in quality["gates"]):
        return Step("Mend what the gates found; then run `dvc repro`.", "A set whose gates fail is not exported.")
    return Step("Run `dvc repro`.", "The pipeline has not come to its end.")


# By the verdict ------------------------------------------------------------------------------------------------------


def _on_verdict(params: Params, utility: Tree) -> Iterator[Step]:
    baseline = _in_words(utility)
    if utility["verdict"] == "HELPS":
        count = next(row["images"] for row in utility["doses"] if row["picked"])
        yield Step(
            f"Train with the synthetic images: {count:,} of them, recipe {utility['recipe']}.",
            "Give them batches of their own, so that normalisation does not mix them with real ones.",
        )
        yield from _for_a_claim(params)
    elif utility["verdict"] == "HURTS":
        yield Step(f"Train on real images alone: {baseline}.", "The synthetic ones cost accuracy, beyond chance.")
    elif utility["verdict"] == "EQUIVALENT":
        yield Step(f"Leave the synthetic images out: {baseline}.", "They change nothing that matters, and cost time.")
    else:
        yield Step(f"Until it is settled, train on real images alone: {baseline}.", "On validation nothing was better.")
        yield _to_settle(params, utility)


def _in_words(utility: Tree) -> str:
    """How the baseline trains."""
    name = utility["baseline"]
    arm = utility["arms"][name]
    recipe = str(arm["recipe"]) or "as they are"
    if name == "control":
        recipe += (
            ", copies of them in its batches" if arm["head"] == "retrained" else ", with a second pass over copies"
        )
    return recipe


def _for_a_claim(params: Params) -> Iterator[Step]:
    have = {"classify.seeds": params.classify.seeds, "classify.draws": params.classify.draws}
    have["train.seeds"] = params.train.seeds
    short = [f"{key}: {least}" for key, least in CLAIM.items() if have[key] < least]
    if short:
        yield Step(
            f"Before others are to believe it, set {', '.join(short)}, and run `dvc repro`.",
            "So far it holds for this generator; another training of it may give another answer.",
        )


def _to_settle(params: Params, utility: Tree) -> Step:
    needed = utility["seeds_to_settle"]
    if needed is not None and needed <= MOST_SEEDS:
        what = f"Set classify.seeds: {needed}, and run `dvc repro`."
        return Step(what, "Were the difference as measured, so many would settle it.")
    if utility["ci95"][0] > 0:
        return _on_condition(params, utility)
    return Step(
        "Add val and test images, or raise data.test_fraction.",
        "No number of seeds would settle it: the test images are the limit."
        if needed is None
        else f"{needed:,} seeds would settle it, more than is worth training.",
    )


def _on_condition(params: Params, utility: Tree) -> Step:
    """Of a gain beyond chance that is refused all the same."""
    fallen = [row for row in utility["per_class"] if row["recall_difference"] is not None]
    worst = min(fallen, key=lambda row: row["recall_difference"])
    if worst["recall_difference"] < -params.classify.max_class_loss:
        return Step(
            f"Look at class {worst['class']!r}: give it more real images, or fewer synthetic ones (export.classes).",
            f"The whole gains, but its recall changes by {points(worst['recall_difference'], 1)} points.",
        )
    least = f"{params.classify.min_effect * 100:g} points"
    return Step("Decide whether so small a gain is worth it.", f"classify.min_effect asks for {least}.")


# By what is wrong ----------------------------------------------------------------------------------------------------


def _on_gates(quality: Tree) -> Iterator[Step]:
    for gate in quality.get("gates", []):
        if not gate["passed"]:
            yield _remedy(FIGURES[gate["figure"]].remedy, f"Gate failed: {described(gate)}.")
    copies, gated = quality.get("copies"), {gate["figure"] for gate in quality.get("gates", []) if not gate["passed"]}
    alarms = [space for space in ("pixel", "feature") if copies and copies[space]["status"] != "PASS"]
    if copies and alarms and not any(name.startswith("cop") for name in gated):
        seen = " and ".join(f"{copies[space]['share'] * 100:.1f} % by {space}s" for space in alarms)
        yield _remedy(FIGURES["copies"].remedy, f"Synthetic images may be copies of train images: {seen}.")


def _on_health(training: Tree) -> Iterator[Step]:
    found: dict[str, list[str]] = {}
    for run in (training, *training.get("members", [])):
        for row in run.get("health", []):
            until = "the end" if row["until"] is None else f"{row['until']:.1f} kimg"
            found.setdefault(f"{row['signal']}\n{row['remedy']}", []).append(f"{row['kimg']:.1f} to {until}")
    for key, spans in found.items():
        signal, _, remedy = key.partition("\n")
        yield _remedy(remedy, f"Training showed {signal} ({', '.join(spans)}).")


def _on_weakness(quality: Tree, said: set[str]) -> Iterator[Step]:
    """Figures that are worse than real ones, by what helps."""
    by_remedy: dict[str, list[str]] = {}
    for name in FIGURES:
        if name in quality.get("below_floor", []):
            by_remedy.setdefault(FIGURES[name].remedy, []).append(FIGURES[name].title)
    if missing := quality.get("missing_classes"):
        by_remedy.setdefault(FIGURES["missing_classes"].remedy, []).append(f"missing classes ({listed(missing)})")
    for remedy, titles in by_remedy.items():
        step = _remedy(remedy, f"Worse than unseen real images: {', '.join(titles)}.")
        if step.what not in said:
            yield step


def _on_few(utility: Tree) -> Iterator[Step]:
    few = [row["class"] for row in utility.get("per_class", []) if row["train"] < FEW]
    if few:
        yield Step(
            f"Gather more real images of class {listed(few)}.",
            f"A generator can hardly learn a class from fewer than {FEW} train images.",
        )


def _remedy(text: str, why: str) -> Step:
    return Step(f"{text[0].upper()}{text[1:]}.", why)
