"""The commands and snippets of the documents, and what can be said of a command without running it."""

import ast
import contextlib
import io
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from dvc.cli import parse_args as parse_dvc

from pipeline.cli import main

REPOSITORY = Path(__file__).parents[1]
PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
FENCED = re.compile(r"^( *)```([^\n]*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`((?:augmint|dvc|make|prefect|python)\s[^`]+)`")
LINKED = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
SHELL = ("", "bash", "sh", "shell", "console")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: path in the repository.
        line: where it starts.
        language: what stands behind the fence.
        text: without the fences.
    """

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """Every fenced block of a page, in order."""
    text, name = page.read_text(encoding="utf-8"), page.relative_to(REPOSITORY).as_posix()
    return [
        Block(name, text[: found.start()].count("\n") + 1, found[2].strip(), found[3])
        for found in FENCED.finditer(text)
    ]


def inline(page: Path) -> list[str]:
    """Every command between backticks in a page's sentences."""
    return [" ".join(one.split()) for one in INLINE.findall(FENCED.sub("", page.read_text(encoding="utf-8")))]


def links(page: Path) -> list[Path]:
    """What a page links to in this repository."""
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    return [page.parent / target for target in LINKED.findall(text)]


def commands(text: str) -> Iterator[str]:
    """The commands of a shell block, one by one: without comments and prompts, continued lines joined."""
    for line in text.replace("\\\n", " ").splitlines():
        bare = re.sub(r"(^|\s)#.*$", "", line).strip().removeprefix("$ ")
        yield from (part.strip() for part in bare.split("&&") if part.strip())


def problem(command: str, whole: bool = True) -> str:
    """What is wrong with a command as far as its own parser knows; empty if nothing is.

    Args:
        command: one, of a program that this repository has.
        whole: it is complete; else options and subcommands alone are looked at, as of one that a sentence mentions.
    """
    words = shlex.split(command)
    try:
        return {"augmint": _augmint, "dvc": _dvc, "make": _make, "python": _script, "prefect": _prefect}[words[0]](
            words[1:], whole
        )
    except KeyError:
        return f"nobody here knows {words[0]}"


def _augmint(words: Sequence[str], whole: bool) -> str:
    command: click.Command = main
    context = click.Context(main, info_name="augmint")
    rest = list(words)
    while isinstance(command, click.Group) and rest:
        if rest[0] not in command.commands and (command is not main or not rest[0].startswith("-")):
            break
        word = rest.pop(0)
        if word.startswith("-"):
            if unknown := _unknown([word], command):
                return unknown
            continue
        command = command.commands[word]
        context = click.Context(command, context, info_name=word)
    if command is main:
        return "" if rest and rest[0].startswith("<") else f"augmint has no command {rest[:1]}"
    if not whole:
        return _unknown(rest, command)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            command.make_context(context.info_name, rest, parent=context.parent)
    except click.ClickException as error:
        return error.format_message()
    return ""


def _unknown(words: Sequence[str], command: click.Command) -> str:
    known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)} | {"-h", "--help"}
    return ", ".join(f"{command.name} has no option {w}" for w in words if w.startswith("-") and w not in known)


def _dvc(words: Sequence[str], whole: bool) -> str:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            parse_dvc(list(words) if whole else [*words, "--help"])
    except SystemExit as end:  # of --help, with 0
        return said.getvalue() if end.code else ""
    except Exception as error:
        return f"{error} {said.getvalue()}"
    return ""


def _make(words: Sequence[str], whole: bool) -> str:
    targets = re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    return ", ".join(f"make has no target {word}" for word in words if word not in targets)


def _script(words: Sequence[str], whole: bool) -> str:
    """Whether there is such a script, and its options stand in it."""
    name = words[1].replace(".KIND", "").replace(".", "/") if words[0] == "-m" else words[0]
    found = [path for path in (REPOSITORY / name, REPOSITORY / f"{name}.py") if path.exists()]
    if not found:
        return f"there is no {name}"
    files = [found[0], *found[0].parent.glob("*.py")] if found[0].is_file() else list(found[0].glob("*.py"))
    # a constant, or what follows the braces of f"--{name}": then the names stand in the script too
    known = {
        node.value.lstrip("-")
        for file in files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return ", ".join(f"{name} has no {w}" for w in words[1:] if w.startswith("--") and w.lstrip("-") not in known)


def _prefect(words: Sequence[str], whole: bool) -> str:
    import cyclopts
    from prefect.cli._app import _app

    rest = [word for word in words if word not in ("--no-prompt", "--prompt")]
    try:
        if whole:
            _app.parse_args(rest, print_error=False, exit_on_error=False)
            return ""
    except cyclopts.CycloptsError as error:
        return f"prefect: {error!r}"
    chain, apps, left = _app.parse_commands(rest)
    if apps[-1].default_command is None:
        return f"prefect {' '.join(chain)} has no command {' '.join(left[:1])}"
    known = {name for argument in apps[-1].assemble_argument_collection() for name in argument.names}
    return ", ".join(f"prefect {' '.join(chain)} has no {w}" for w in left if w.startswith("-") and w not in known)
