"""The report of a run in Prefect's UI, in Markdown: what a reader wants first, with the pictures in it."""

from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any, NamedTuple
from urllib.parse import quote

from pipeline.escaping import code, markdown
from pipeline.experiment.names import in_order
from pipeline.flows.figures import Figures, baseline_accuracy
from pipeline.report.wording import NONE, between, count, number, percent, points
from pipeline.wording import told

Write = Callable[[Any], str]


class Key(NamedTuple):
    """A figure that the report shows beside that of the last run.

    Attributes:
        title: what it is.
        figure: its name in :func:`pipeline.flows.figures.read`.
        write: how it is written, and
        change: its difference to the last one.
    """

    title: str
    figure: str
    write: Write
    change: Write


class Link(NamedTuple):
    """A place to go to: its title, its address, and its path for who cannot follow that."""

    title: str
    address: str
    path: str


def _signed(write: Write) -> Write:
    return lambda value: f"{'+' if value > 0 else ''}{write(value)}"


def _key(title: str, figure: str, write: Write) -> Key:
    return Key(title, figure, write, points if write is percent else _signed(write))


def _fine(value: float | None) -> str:
    return number(value, 4)


KEYS = (
    _key("Balanced accuracy with synthetic images, %", "utility.arms.synthetic.balanced_accuracy", percent),
    _key("Kernel distance (KID)", "quality.kid", _fine),
    _key("Coverage, %", "quality.coverage", percent),
    _key("Precision, %", "quality.precision", percent),
    _key("Recall, %", "quality.recall", percent),
    _key("Label agreement, %", "quality.label_agreement", percent),
    _key("Suspected copies by pixels, %", "quality.copy_share_pixel", percent),
    _key("Suspected copies by features, %", "quality.copy_share_feature", percent),
    _key("Images in the set", "export.images", count),
    _key("Real images in train", "ingest.images.train", count),
)


def report(
    utility: Mapping[str, Any] | None, figures: Figures, last: Figures, pictures: Mapping[str, str], links: list[Link]
) -> str:
    """The report of a run.

    Args:
        utility: the content of ``metrics/utility.json``; ``None`` before there is one.
        figures: the figures of now.
        last: those of the last run.
        pictures: addresses that hold a picture each, by title.
        links: where there is more.
    """
    told = _verdict(utility, last) if utility else ["# No verdict yet", ""]
    shown = [part for title, address in pictures.items() for part in (f"**{title}**", "", f"![{title}]({address})", "")]
    return "\n".join(
        [*told, *_keys(figures, last, utility), *shown, *map(_link, links), "", *(_arms(utility) if utility else [])]
    )


def _verdict(utility: Mapping[str, Any], last: Figures) -> list[str]:
    before, verdict = last.get("utility.verdict"), markdown(str(utility["verdict"]))
    changed = f" (was {before})" if before not in (None, verdict) else ""
    effect = f"{points(utility['delta'])} points, 95 % interval {between(utility['ci95'], 'points')}"
    return [f"# {verdict}{changed}: {effect}", "", markdown(told(utility)), ""]


def _keys(figures: Figures, last: Figures, utility: Mapping[str, Any] | None) -> list[str]:
    best = baseline_accuracy(utility) if utility else ""
    keys = [*KEYS[:1], _key("The same without, at best, %", best, percent), *KEYS[1:]]
    rows = [
        f"| {key.title} | {key.write(now)} | {_number(last, key.figure, key.write)} | {_change(key, now, last)} |"
        for key in keys
        if isinstance(now := figures.get(key.figure), Real)
    ]
    return ["| | now | last run | change |", "| --- | ---: | ---: | ---: |", *rows, ""] if rows else []


def _number(figures: Figures, name: str, write: Write) -> str:
    value = figures.get(name)
    return write(value) if isinstance(value, Real) else NONE


def _change(key: Key, now: Any, last: Figures) -> str:
    before = last.get(key.figure)
    return key.change(now - before) if isinstance(before, Real) and before != now else ""


def _arms(utility: Mapping[str, Any]) -> list[str]:
    rows = [
        f"| {markdown(arm['title'])}{' *' if name == utility['baseline'] else ''} "
        f"| {percent(arm['validation'])} | {percent(arm['balanced_accuracy'])} |"
        for name, arm in in_order(utility["arms"])
    ]
    warnings = [f"- {markdown(warning)}" for warning in utility["warnings"]]
    head = ["| balanced accuracy, % | validation | test |", "| --- | ---: | ---: |"]
    return [*head, *rows, "", "\\* the best without synthetic images, by validation.", "", *warnings, ""]


def _link(link: Link) -> str:
    return f"- [{link.title}]({quote(link.address, safe=':/?#@!$&*+,;=%~')}): {code(link.path)}"
