"""The parts of ``docs/`` that say what the code says, written from it: ``python -m tools.pages``.

Such a part stands between ``<!-- made: name -->`` and ``<!-- /made -->`` on its page. ``make docs`` writes all of them
anew, and a test holds the pages against the code.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from gan.health import PATIENCE, SIGNS, Sign
from pipeline.escaping import code, markdown
from pipeline.figures import FIGURES
from pipeline.params import Params
from tools.models import described

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PART = re.compile(r"(?<=<!-- made: )(?P<name>\w+)(?P<open> -->\n)(?P<text>.*?)(?P<close><!-- /made -->)", re.DOTALL)
LINE = re.compile(r"(?P<indent> *)(?P<key>\w+):[^#]*(?:#(?P<comment>.*))?$")
OF_THE_DEMO = re.compile(r"[;,]? ?for the demo, else .*$")
CHOICES = re.compile(r"^(?:[\w-]+ \| )+(?:[\w-]+|\[[\w, ]+\])(?:: |; |$)")  # which the column of types has
# how each ailment of gan/health.py shows, with its limit
SHOWN_BY = {
    "divergence": "a loss, gradient or penalty that is not finite, or over {:g} times its usual size",
    "under-trained critic": "synthetic images score above real ones of their class (d' under {:g})",
    "over-strong critic": "the scores of real and synthetic images hardly overlap (d' over {:g})",
    "mode collapse": "in some class, the variance of the pixels is under {:g} of the real one",
    "label collapse": "the variance between the means of the classes is under {:g} of the real one",
    "memorising": "held-out images score like synthetic ones (ADA's r over {:g})",
}


def main() -> None:
    """Writes every made part of every page anew."""
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        if (new := made(text)) != text:
            page.write_text(new, encoding="utf-8")
            print(f"{page.relative_to(ROOT)}: written anew")


def made(page: str) -> str:
    """The text of a page with its made parts as the code has them now.

    Raises:
        KeyError: a part of a name that none of :data:`PARTS` has.
    """
    return PART.sub(lambda part: f"{part['name']}{part['open']}\n{PARTS[part['name']]()}\n{part['close']}", page)


# Parameters -----------------------------------------------------------------------------------------------------------


def parameters() -> str:
    """A table a group of ``params.yaml``: key, what it takes, its default, and its comment in that file."""
    comments = dict(commented((ROOT / "params.yaml").read_text(encoding="utf-8")))
    rows = list(_rows(Params(), comments, ""))
    parts = []
    for group in dict.fromkeys(key.split(".")[0] for key, _ in rows):
        own = [row for key, row in rows if key.split(".")[0] == group]
        parts += [f"## `{group}`", "", "| key | takes | default | what it is |", "| --- | --- | --- | --- |", *own, ""]
    return "\n".join(parts)


def commented(text: str) -> Iterator[tuple[str, str]]:
    """Dotted key and comment of each line of a file such as ``params.yaml`` that has a key, in block style."""
    above: list[str] = []
    for found in map(LINE.match, text.splitlines()):
        if found:
            above[len(found["indent"]) // 2 :] = [found["key"]]
            yield ".".join(above), (found["comment"] or "").strip()


def _rows(group: BaseModel, comments: Mapping[str, str], above: str) -> Iterator[tuple[str, str]]:
    """Dotted key and row of the keys of a group that are no group themselves, and of the keys of such."""
    plain = group.model_dump(mode="json")
    for name, field in type(group).model_fields.items():
        value, key = getattr(group, name), f"{above}{name}"
        if isinstance(value, BaseModel):
            yield from _rows(value, comments, f"{key}.")
            continue
        takes, comment = described(field.annotation, field.metadata), OF_THE_DEMO.sub("", comments[key])
        shown = key.partition(".")[2] or key
        yield key, f"| `{shown}` | {takes} | {code(yaml_text(plain[name]))} | {markdown(CHOICES.sub('', comment))} |"


def yaml_text(value: Any) -> str:
    """A value as one would write it into ``params.yaml``, on one line.

    >>> yaml_text([None, True, 0.5, "auto", ""])
    '[null, true, 0.5, auto, ""]'
    """
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {yaml_text(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(yaml_text, value)) + "]"
    if isinstance(value, str):
        return value if re.fullmatch(r"[\w./:-]+", value) else f'"{value}"'
    return json.dumps(value)


# Troubleshooting ------------------------------------------------------------------------------------------------------


def signs() -> str:
    """A row an ailment of ``gan/health.py``: its name, what it shows by, from when on, and the remedy."""
    rows = ["| ailment | shows by | judged after this part of the budget | what to do |", "| --- | --- | ---: | --- |"]
    return "\n".join([*rows, *map(_sign, SIGNS), "", _how_long(), ""])


def _sign(sign: Sign) -> str:
    shown = SHOWN_BY[sign.name].format(sign.limit)
    return f"| {sign.name} | {shown} | {sign.after * 100:.0f} % | {_named(sign.remedy)} |"


def _how_long() -> str:
    return f"A sign has to stand for {PATIENCE} readings in a row, and to be gone as long before it is over."


def remedies() -> str:
    """A row a remedy of ``pipeline/figures.py``, with the figures that ask for it."""
    by_remedy: dict[str, list[str]] = {}
    for name, figure in FIGURES.items():
        by_remedy.setdefault(figure.remedy, []).append(f"`{name}`")
    rows = [f"| {', '.join(names)} | {_named(remedy)} |" for remedy, names in by_remedy.items()]
    return "\n".join(["| figure | what to do |", "| --- | --- |", *rows, ""])


def _named(text: str) -> str:
    """Text with the keys and files that it names as code."""
    return re.sub(
        r"\b(?:train|data|export|classify)\.\w+|plots/[\w/.]+|\bspectrum\.png", lambda found: f"`{found[0]}`", text
    )


PARTS: dict[str, Callable[[], str]] = {"parameters": parameters, "signs": signs, "remedies": remedies}

if __name__ == "__main__":
    main()
