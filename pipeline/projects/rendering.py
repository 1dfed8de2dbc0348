"""The files of a project as texts. Their templates are this repository's own files, so that there is one of each."""

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any

from pipeline.escaping import code, markdown, terminal
from pipeline.params import Params
from pipeline.plain_yaml import scalar
from pipeline.projects.choosing import Choice, Key

TEMPLATES = "pipeline.projects"
LINE = re.compile(r"(?P<indent> *)(?P<key>[\w-]+):(?P<value> [^#]*?)? *(?:#(?P<comment>.*))?")
OF_THE_DEMO = re.compile(r"[;,] for the demo, else .*$")
COMMENT_AT, WIDTH = 33, 120
MADE_HERE, MADE_ELSEWHERE = "`make serve`. See docs/prefect.md.", "`augmint serve --worker`."
STAGES, IMAGES = "stages:\n", "      - ${data.path}\n"
LOOK = """\
  # DVC cannot ask this address: this stage does at each `dvc repro`, and ingest runs again when the answer is another
  look:
    desc: Ask the address of the images which version lies there.
    cmd: augmint look
    always_changed: true
    params: [data.path]
    outs:
      - data/version.json: {cache: false, persist: true}

"""


def template(name: str) -> str:
    """The text of one template."""
    return (files(TEMPLATES) / "templates" / name).read_text(encoding="utf-8")


def params_yaml(params: Params, choices: Sequence[Choice], title: str) -> str:
    """``params.yaml``: every key of ``params`` with its comment, and below it the reason of a choice."""
    values = params.model_dump(mode="json")
    why = {choice.key: choice.why for choice in choices}
    lines = [
        f"# {terminal(title)}",
        "# Every choice that augmint makes; after an arrow stands why it was made so here.",
    ]
    lines += _lines(template("params.yaml").splitlines()[1:], values, why)
    return "\n".join(lines) + "\n"


def _lines(lines: list[str], values: Mapping[str, Any], why: Mapping[Key, str]) -> Iterator[str]:
    above: list[tuple[int, str]] = []
    for line in lines:
        found = LINE.fullmatch(line)
        if not found:
            yield line
            continue
        indent, comment = len(found["indent"]), OF_THE_DEMO.sub("", (found["comment"] or "").strip())
        while above and above[-1][0] >= indent:
            above.pop()
        key: Key = (*(name for _, name in above), found["key"])
        value = _value(values, key)
        above.append((indent, found["key"]))
        group = isinstance(value, dict) and not (found["value"] or "").strip()
        yield from _line(found["indent"], found["key"], "" if group else f" {scalar(value)}", comment)
        if key in why:
            yield from _comment(f"→ {why[key]}")


def _value(values: Mapping[str, Any], key: Key) -> Any:
    node: Any = values
    for name in key:
        node = node[name]
    return node


def _line(indent: str, key: str, value: str, comment: str) -> list[str]:
    text = f"{indent}{key}:{value}"
    if not comment:
        return [text]
    line = f"{text:<{COMMENT_AT - 1}} # {comment}"
    return [line] if len(line) <= WIDTH else [text, *_comment(comment)]


def _comment(text: str) -> list[str]:
    margin = " " * COMMENT_AT + "# "
    wrapped = textwrap.wrap(terminal(text), WIDTH - len(margin), break_long_words=False, break_on_hyphens=False)
    return [margin + line for line in wrapped]


def dvc_yaml(tracked: bool) -> str:
    """``dvc.yaml``; with a stage that asks whether the images have changed, unless DVC has ``tracked`` them itself."""
    text = template("stages.yaml")
    if tracked:
        return text
    return text.replace(STAGES, STAGES + LOOK, 1).replace(IMAGES, "      - data/version.json\n")


def prefect_yaml() -> str:
    """``prefect.yaml``; the project goes by its folder's name on a server."""
    return template("deployments.yaml").replace(MADE_HERE, MADE_ELSEWHERE)


def readme(**facts: Any) -> str:
    """The project's ``README.md``."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True)
    environment.filters |= {"markdown": markdown, "code": code}
    return environment.from_string(template("README.md.j2")).render(facts)
