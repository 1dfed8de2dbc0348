"""Some cases of each kind of fault, in short; and the rule that judges them, which has to see every way to fail."""

import argparse
import os
import signal
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.faults import archives, files, sets, surroundings, tables, tampering
from benchmarks.faults.trials import Case, attempt, judge, nothing_wrong, run
from pipeline import cli
from pipeline.stages.export import run as export
from tests.pipeline.export_project import make, params

FILES = ("cut at 0.6.png", "bit at 9.bmp", "zeros.png", "no side.png", "no file: pipe")
ARCHIVES = ("half.tar.gz", "rubbish behind.tar", "a wrong checksum.zip", "a link.tar", "a size of -1.tar")
TABLES = ("semicolons", "a NUL in a path", "label twice", "hub: bytes that are lists", "hub: two shards a split")
EDITS = ("a bit of an image at 0.6", "a further class, empty", "a pipe", "sums of one file less", "no manifest.parquet")
SURROUNDINGS = ("plain", "Windows ends", "a list", "seed -1")


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that ingested another set before."""
    project = tmp_path_factory.mktemp("faults") / "project"
    project.mkdir()
    sets.base(project)
    return project


def check(
    made: Callable[[argparse.Namespace], Iterable[Case]], names: Iterable[str], before: Path, place: Path
) -> None:
    """Each of these cases ends as it should."""
    waiting, judged = set(names), {}
    for case in made(argparse.Namespace(count=0, seed=0)):
        if case.name in waiting:
            waiting.remove(case.name)
            judged[case.name] = attempt(case, before, place / "trial")
        if not waiting:
            break
    assert not waiting, "no such case"
    assert {name: found.why for name, found in judged.items() if found.verdict == "FAULT"} == {}


@pytest.mark.parametrize(("kind", "names"), [(files, FILES), (archives, ARCHIVES), (tables, TABLES)])
def test_sources(kind: Any, names: tuple[str, ...], before: Path, tmp_path: Path) -> None:
    check(kind.cases, names, before, tmp_path)


def test_surroundings(tmp_path: Path) -> None:
    project = tmp_path / "before" / "project"
    project.mkdir(parents=True)
    surroundings.base(project)
    check(surroundings.cases, [f"params.yaml: {name}" for name in SURROUNDINGS], project, tmp_path)


def test_tampering(tmp_path: Path) -> None:
    workspace = make(tmp_path / "project")
    export(params(balance=5), workspace)
    for name in EDITS:
        case = Case(name, tampering.SET_EDITS[name], nothing_wrong, ("verify", "synthetic", "--sample", "0"), (1,))
        judged = attempt(replace(case, refused=True), workspace.root, tmp_path / "trial")
        assert judged.verdict == "refused", name


def test_the_rule_sees_every_way_to_fail(before: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = [*sets.good().values()]

    def lay(project: Path) -> None:
        sets.choose(project, "folder")
        sets.write(project / "set", sets.good())

    def verdict(expected: Iterable[sets.Sample] = good, **change: Any) -> str:
        case = replace(Case("one", lay, sets.judged_by(list(expected))), **change)
        return attempt(case, before, tmp_path / "trial").why

    assert verdict() == ""
    assert verdict(good[1:]) == "0 images are missing (), 1 too many or misplaced"
    assert verdict([*good[1:], replace(good[0], label="nut")]).endswith("1 too many or misplaced")
    assert verdict(refused=True) == "exit code 0 for what cannot be right"
    negative = replace(good[0], pixels=255 - np.asarray(sets.picture(0)))
    assert "other pixels" in verdict([negative, *good[1:]])
    endings: dict[str, Callable[..., object]] = {
        "a traceback: ValueError": lambda *args, **options: int("x"),
        "ended by SIGUSR1": lambda *args, **options: os.kill(os.getpid(), signal.SIGUSR1),
        "exit code 3": lambda *args, **options: os._exit(3),
        "exit code 2 without one clear sentence": lambda *args, **options: os._exit(2),
        "took": lambda *args, **options: bytearray(b"x") * (1700 << 20),
    }
    for why, end in endings.items():
        monkeypatch.setattr(cli, "main", end)
        assert verdict().startswith(why)


def test_the_rule_sees_outputs_that_are_lost(before: Path) -> None:
    ended = replace(run(before, ("ingest", "--no-such-option")), code=2, said="augmint: no")
    case = Case("one", lambda project: project)
    assert judge(case, before, ended, {"data/store/images.npy": b"other"}).why == "old outputs are changed or lost"
