"""Odd surroundings: environment, locale, limits, permissions, the project's path, and what stands in params.yaml.

    python -m benchmarks.faults.surroundings [CASE...] [--verbose] [--keep FOLDER]

Whatever surrounds it, ingest has to leave the bytes that it leaves otherwise, or say in one sentence why it cannot.
"""

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.faults import sets
from benchmarks.faults.trials import SECONDS, USER_ERRORS, Case, Ended, main, run

REPOSITORY = Path(__file__).parents[2]
STORE = ("data/store", "metrics/ingest.json")
NOBODY = 65534
UNREAD = 141  # what shells report of a program that wrote to a reader that had ended
DATA = {"source": "folder", "path": "set", "image_size": sets.SIDE, "val_fraction": 0.2, "test_fraction": 0.2}
Text = str | bytes


def base(project: Path) -> None:
    """A project with what ingest leaves in ordinary surroundings, in ``reference``, and the store of another seed."""
    project.parent.parent.chmod(0o755)  # others than root have to come here
    sets.write(project / "set", sets.good(("K\u00e4se", "bolt")))
    for seed in (0, 1):
        _params(project, {"seed": seed})
        ended = run(project, ("ingest",))
        assert ended.code == 0, ended.said
        if not seed:
            for name in STORE:
                (project / "reference" / name).parent.mkdir(parents=True, exist_ok=True)
                (project / name).rename(project / "reference" / name)
    _params(project, {})


def _params(project: Path, more: dict[str, object]) -> None:
    (project / "params.yaml").write_text(json.dumps({"data": DATA, **more}), encoding="utf-8")


def the_same(project: Path, ended: Ended) -> str:  # noqa: ARG001
    """Whether the outputs are those of ordinary surroundings."""
    for path in sorted((project / "reference").rglob("*")):
        other = project / path.relative_to(project / "reference")
        if path.is_file() and (not other.is_file() or other.read_bytes() != path.read_bytes()):
            return f"{other.relative_to(project)} differs from what ordinary surroundings give"
    return ""


def cases(options: argparse.Namespace) -> Iterator[Case]:  # noqa: ARG001
    """All of them."""
    for name, text in PARAMS.items():
        yield Case(f"params.yaml: {name}", partial(_write, text=text), the_same)
    for group, values in VALUES.items():
        for name, value in values.items():
            yield Case(f"params.yaml: {group} {name}", partial(_choose, group=group, value=value), the_same)
    for name, change in ENVIRONMENTS.items():
        yield started(f"environment: {name}", change)
    yield from _streams()
    yield from _limits()
    yield from _places()


def _write(project: Path, text: Text) -> None:
    (project / "params.yaml").write_bytes(text.encode() if isinstance(text, str) else text)


def _choose(project: Path, group: str, value: object) -> None:
    inner, _, key = group.partition(".")
    content = {"data": DATA} | (
        {inner: value} if not key else {inner: {**(DATA if inner == "data" else {}), key: value}}
    )
    _write(project, json.dumps(content))


PLAIN = "".join(f"  {key}: {value}\n" for key, value in DATA.items())
LAUGHS = "a: &a [x, x]\n" + "".join(f"b{i}: &b{i} [*{f'b{i - 1}' if i else 'a'}, *a]\n" for i in range(60))
DOUBLING = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40))
PARAMS: dict[str, Text] = {
    "plain": f"data:\n{PLAIN}",
    "Windows ends": f"data:\n{PLAIN}".replace("\n", "\r\n"),
    "a byte order mark": f"\ufeffdata:\n{PLAIN}",
    "UTF-16": f"data:\n{PLAIN}".encode("utf-16"),
    "Latin-1": f"# Stra\u00dfe\ndata:\n{PLAIN}".encode("latin-1"),
    "a merge key": f"x: &x {{}}\ndata:\n  <<: *x\n{PLAIN}",
    "an alias": f"data: &d\n{PLAIN}train: *d\n",
    "aliases by the billion": f"{LAUGHS}data:\n{PLAIN}",
    "aliases that double 40 times": f"{DOUBLING}data:\n{PLAIN}",
    "an alias of itself": f"data: &d\n{PLAIN}  dataset: *d\n",
    "3,000 brackets": f"data:\n{PLAIN}export: " + "[" * 3000,
    "3,000 pairs of brackets": f"data:\n{PLAIN}export: " + "[" * 3000 + "]" * 3000,
    "3,000 levels": "".join(f"{' ' * i}a:\n" for i in range(3000)),
    "a NUL": f"data:\n{PLAIN}\0",
    "a NUL in a text": f'data:\n{PLAIN}  dataset: "\\0"\n',
    "a bell": f"data:\n{PLAIN}  dataset: \x07\n",
    "zeros": bytes(4096),
    "empty": "",
    "a list": "[1, 2]",
    "a number": "7",
    "two documents": f"data:\n{PLAIN}---\ndata: {{}}\n",
    "a tag of Python": f"data:\n{PLAIN}  dataset: !!python/object/apply:os.system [true]\n",
    "an unknown tag": f"data:\n{PLAIN}seed: !x 3\n",
    "a tab": f"data:\n\t{PLAIN.strip()}",
    "a key twice": f"data:\n{PLAIN}{PLAIN}",
    "a key that is a list": f"? [a, b]\n: 1\ndata:\n{PLAIN}",
    "a key that is null": f"null: 1\ndata:\n{PLAIN}",
    "a date": f"data:\n{PLAIN}  dataset: 2026-01-01\n",
    "a misspelt key": f"data:\n{PLAIN}  image_sise: 3\n",
    "a comment of 8 MB": "# " + "x" * (8 << 20) + f"\ndata:\n{PLAIN}",
    "100,000 keys": "".join(f"k{i}: 1\n" for i in range(100_000)),
}

HUGE = int("9" * 4000)
VALUES: dict[str, dict[str, object]] = {
    "seed": {"of 4,000 digits": HUGE, "-1": -1, "2**32": 2**32, "1.5": 1.5, "text": "0", "null": None, "true": True},
    "data": {"null": None, "a list": [], "text": "x"},
    "data.image_size": {"0": 0, "10**9": 10**9, "text": "x", "null": None},
    "data.path": {
        **{
            "a list": ["set"],
            "a number": 7,
            "nothing": "",
            "a dot": ".",
            "a NUL": "set\0",
            "a web address": "https://x/y",
        },
        **{"a home": "~/nothing", "a slash more": "set/", "from above": "../project/set", "data": "data", "/": "/"},
        **{
            "/dev/zero": "/dev/zero",
            "/proc": "/proc/self/fd",
            "10,000 letters": "x" * 10_000,
            "the store": "data/store",
        },
    },
    "data.group_pattern": {"that is none": "((", "without a group": "x", "of 2**20 letters": "x" * 2**20},
    "data.max_bad_fraction": {"2": 2, "-1": -1, "text": "many"},
    "data.long_tail": {"of words": {"head": "many", "tail": 1}, "upside down": {"head": 1, "tail": 9}},
    "train.batch_size": {"10**12": 10**12, "0": 0, "of 4,000 digits": HUGE},
    "train.kimg": {"10**300": 10**300, "-1": -1},
    "train.device": {"cuda": "cuda", "tpu": "tpu"},
    "classify.device": {"cuda": "cuda"},
    "classify.width": {"4": 4, "10**9": 10**9},
    "classify.classifier": {"os:system": "os:system", "nothing": "nothing.here:at_all", "text": "x"},
    "export.balance": {"10**30": 10**30, "text": "many", "-1": -1},
    "evaluate.gates": {"of an unknown figure": {"x": "<= 1"}, "of words": {"copies": "few"}},
}


def started(
    name: str,
    change: dict[str, str | None] | None = None,
    lay: Callable[[Path], object] = os.fspath,
    within: Callable[[], object] | None = None,
    **options: object,
) -> Case:
    """A case in a process of its own, with variables of the environment set, or taken out where they are None."""

    def runs(project: Path, command: tuple[str, ...]) -> Ended:
        environment = os.environ | {"OMP_NUM_THREADS": "1"} | {k: v for k, v in (change or {}).items() if v is not None}
        for gone in (key for key, value in (change or {}).items() if value is None):
            environment.pop(gone, None)
        place = options.get("folder", lambda project: project)
        return _wait(command, place(project), environment, within, options)  # type: ignore[operator]

    return Case(name, lay, the_same, runs=runs)


def _wait(
    command: tuple[str, ...],
    folder: Path,
    environment: dict[str, str],
    within: Callable[[], object] | None,
    options: dict[str, object],
) -> Ended:
    """Runs the console script; as nobody if ``options`` say so and root is who starts it."""
    log = folder.parent / "said"
    user = NOBODY if options.get("nobody") and not os.getuid() else None
    with log.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli", *command],
            **{"cwd": folder, "env": environment | {"PYTHONPATH": str(REPOSITORY)}, "user": user},
            **{"stdin": subprocess.DEVNULL, "stdout": options.get("stdout", said), "stderr": said},
            preexec_fn=within,
        )
        try:
            code = process.wait(10 * SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return Ended(None, log.read_text("utf-8", "replace"), 0)
    return Ended(code, log.read_text("utf-8", "replace"), 0)


ENVIRONMENTS: dict[str, dict[str, str | None]] = {
    "no HOME": {"HOME": None},
    "a HOME that is not there": {"HOME": "/nonexistent"},
    "a HOME that is a file": {"HOME": "/etc/passwd"},
    "ASCII": {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"},
    "an unknown locale": {"LC_ALL": "xx_YY.UTF-8"},
    "Latin-1 on the terminal": {"PYTHONIOENCODING": "latin-1"},
    "another time zone": {"TZ": "Asia/Kathmandu"},
    "no such time zone": {"TZ": "No/Where"},
    "a PATH without git": {"PATH": "/nonexistent"},
    "no PATH": {"PATH": None},
    "one column": {"COLUMNS": "1"},
    "no column": {"COLUMNS": "0", "LINES": "0"},
    "columns of words": {"COLUMNS": "many"},
    "no colour": {"NO_COLOR": "1"},
    "colours by force": {"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1"},
    "a dumb terminal": {"TERM": "dumb"},
    "another hash seed": {"PYTHONHASHSEED": "4294967295"},
    "hash seed 0": {"PYTHONHASHSEED": "0"},
    "no assertions": {"PYTHONOPTIMIZE": "2"},
    "no bytecode": {"PYTHONDONTWRITEBYTECODE": "1"},
    "no TMPDIR": {"TMPDIR": "/nonexistent"},
    "no GPU to see": {"CUDA_VISIBLE_DEVICES": ""},
    "threads by the thousand": {"OMP_NUM_THREADS": "1000"},
    "threads of words": {"OMP_NUM_THREADS": "many", "MKL_NUM_THREADS": "-1"},
    "proxies to nowhere": {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"},
}


def _streams() -> Iterator[Case]:
    yield started("closed stdout", within=lambda: os.close(1))
    yield started("closed stdin", within=lambda: os.close(0))
    yield started("closed stdout and stderr", within=lambda: (os.close(1), os.close(2)))
    yield started("stdout that cannot be written", stdout=os.open(os.devnull, os.O_RDONLY))
    full = os.open("/dev/full", os.O_WRONLY)
    yield started("stdout on a full disk", stdout=full)
    reader, writer = os.pipe()
    os.close(reader)
    yield replace(started("stdout that nobody reads", stdout=writer), codes=(*USER_ERRORS, UNREAD))
    yield started("signals blocked", within=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32)))


def _limit(kind: int, most: int) -> Callable[[], object]:
    return lambda: resource.setrlimit(kind, (most, most))


def _limits() -> Iterator[Case]:
    for most in (16, 40):
        yield started(f"{most} open files", within=_limit(resource.RLIMIT_NOFILE, most))
    for most in (300, 1000, 4000):
        yield started(f"{most} MiB of address space", within=_limit(resource.RLIMIT_AS, most << 20))
    yield started("files of 4 KiB", within=_limit(resource.RLIMIT_FSIZE, 4096))
    yield started("a stack of 256 KiB", within=_limit(resource.RLIMIT_STACK, 256 << 10))
    yield started("a umask of 077", within=lambda: os.umask(0o077))


def _open_to_all(project: Path) -> None:
    project.parent.chmod(0o777)
    for path in (project, *project.rglob("*")):
        path.chmod(0o777)


def _readable(project: Path) -> None:
    project.parent.chmod(0o777)  # where what is said goes
    for path in (project, *project.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)


def _as_nobody() -> Iterator[Case]:
    yield started("no further process", within=_limit(resource.RLIMIT_NPROC, 1), nobody=True, lay=_open_to_all)
    yield started("no permission to write", lay=_readable, nobody=True)

    def store_of_others(project: Path) -> None:
        _open_to_all(project)
        (project / "data").chmod(0o555)

    yield started("no permission to write data", lay=store_of_others, nobody=True)

    def unreadable(project: Path) -> None:
        _open_to_all(project)
        (project / "set/bolt").chmod(0)

    yield started("a class that may not be read", lay=unreadable, nobody=True)


def _nobody_can_run() -> bool:
    """Whether root, who may read and write all, has a user to start this Python as."""
    try:
        return subprocess.run([sys.executable, "-c", ""], user=NOBODY, check=False).returncode == 0
    except PermissionError:
        return False


def _places() -> Iterator[Case]:
    if os.getuid() or _nobody_can_run():
        yield from _as_nobody()
    else:
        print("surroundings: permissions are left out: root runs this, and nobody else may read its Python")
    for name in (
        "with spaces",
        "line\nbreak",
        "K\u00e4se \U0001f9c0",
        "\udce9",
        "%s",
        "#x?y=1",
        "$HOME",
        "-rf",
        "a" * 200,
    ):
        yield started(
            f"a project called {name!a}"[:60], lay=partial(_also, name=name), folder=partial(_beside, name=name)
        )
    yield started("a project that is a link", lay=_linked, folder=lambda project: project.with_name("link"))
    yield started("a folder that is gone", folder=lambda project: project, within=_lose_folder)


def _also(project: Path, name: str) -> None:
    """The outputs are looked for in the project itself, which is a link to where they come to lie."""
    project.rename(project.with_name(name))
    project.symlink_to(name)


def _beside(project: Path, name: str) -> Path:
    return project.with_name(name)


def _linked(project: Path) -> None:
    project.with_name("link").symlink_to(project.name)


def _lose_folder() -> None:
    gone = Path("gone")
    gone.mkdir()
    os.chdir(gone)
    shutil.rmtree(Path("../gone"))


if __name__ == "__main__":
    sys.exit(main("surroundings", cases, base))
