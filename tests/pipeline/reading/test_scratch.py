"""Work that was in hand may be damaged without harm: it is told, and done again."""

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.errors import UserError
from pipeline.experiment.pool import Pool, save
from pipeline.experiment.trial import Asked, Predictions
from pipeline.export.request import Request
from pipeline.export.tally import Tally
from pipeline.export.work import Entry, Record, Work
from pipeline.formats.base import Written
from pipeline.params import Params
from pipeline.progress import CHANNEL, Report
from pipeline.reading.leftovers import usable
from pipeline.reading.weights import read_weights
from pipeline.stages import train
from pipeline.training.run import Run
from pipeline.training.state import StateFile
from pipeline.workspace import Workspace
from tests.pipeline.reading.finished import CONTENTS, edits, stand_ins
from tests.pipeline.stages.test_train import tiny


def each(path: Path, check: Callable[[str], None]) -> None:
    """Checks with each other thing in the place of a file, which is there again in the end."""
    content = path.read_bytes()
    for what, replace in stand_ins(path):
        replace()
        check(what)
        if path.is_dir():
            path.rmdir()
        path.unlink(missing_ok=True)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)


def whole(pool: Path) -> bool:
    return usable(pool, lambda: Pool.open(pool), "making it anew")


def done(trial: Path) -> bool:
    return usable(trial, lambda: Predictions.load(trial), "training it anew")


@pytest.mark.parametrize("name", ["images", "labels", "draws", "unit", "alone"])
def test_a_damaged_pool_is_made_anew(tmp_path: Path, name: str) -> None:
    def check(what: str) -> None:
        assert not whole(tmp_path / "pool"), what
        save(
            tmp_path / "pool",
            np.zeros((3, 1, 8, 8), np.uint8),
            np.array([0, 0, 1]),
            np.array([0, 1, 0]),
            np.array([2, 1]),
        )

    check("missing")
    assert whole(tmp_path / "pool")
    each(tmp_path / "pool" / f"{name}.npy", check)
    assert len(Pool.open(tmp_path / "pool").labels) == 3


def test_a_damaged_trial_is_run_again(tmp_path: Path) -> None:
    file = tmp_path / "trial.npz"
    val, test = (np.arange(5.0 * images, dtype=np.float32).reshape(images, 5) for images in (3, 4))
    Predictions(val, test, np.arange(0)).save(file)
    assert done(file)
    assert np.array_equal(Predictions.load(file).test, test)

    def check(what: str) -> None:
        assert what == "longer" or not done(file), what

    each(file, check)
    others = (
        {"val": val.astype(np.float64), "test": test},
        {"val": val, "test": test[0]},
        {"val": np.arange(3), "test": np.arange(4), "confidence": np.ones(4, np.float32)},  # once: answers, no logits
    )
    for arrays in others:
        np.savez(file, **arrays, synthetic=np.arange(0))
        assert not done(file)
        assert not file.exists()


@pytest.mark.parametrize(
    ("name", "answers"),
    [
        *[("val", np.zeros(shape, np.float32)) for shape in ((2, 5), (4, 5), (3, 4), (3, 6))],
        *[("test", np.zeros((3, 5), np.float32)), ("synthetic", np.arange(1)), ("synthetic", np.array([0, 5]))],
        ("synthetic", np.array([0, -1])),
    ],
)
def test_a_trial_of_another_experiment_is_not_taken_for_one_of_this(name: str, answers: np.ndarray) -> None:
    asked = Asked(classes=5, val=3, test=4, synthetic=2)
    right = {"val": np.zeros((3, 5), np.float32), "test": np.zeros((4, 5), np.float32), "synthetic": np.arange(2)}
    Predictions(**right).check(asked)
    Predictions(**right | {"synthetic": np.arange(0)}).check(asked)  # of an arm that was trained on such images
    with pytest.raises(ValueError, match=f"answers for {name}"):
        Predictions(**right | {name: answers}).check(asked)


def test_an_array_in_a_trial_is_not_believed(tmp_path: Path) -> None:
    header = b"{'descr': '<i8', 'fortran_order': False, 'shape': (1000000000000000,), }\n"
    with zipfile.ZipFile(tmp_path / "trial.npz", "w") as archive:
        for name in ("val", "test", "synthetic"):
            archive.writestr(f"{name}.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    assert not done(tmp_path / "trial.npz")


def test_a_damaged_part_of_a_set_is_made_again(tmp_path: Path) -> None:
    work = Work(tmp_path, "k" * 16)
    record = Record([Entry("train", 0, 3, True, {"critic": 0.5})], [Written("a.png", "ab")], {0: Tally(4, 1)})
    work.set.mkdir(parents=True, exist_ok=True)
    (work.set / "a.png").touch()
    work.save(0, record)
    assert work.load(0) == record
    path = work._file(0)

    def check(what: str) -> None:
        assert work.load(0) is None, what

    each(path, check)
    content = json.loads(path.read_text(encoding="utf-8"))
    for what, edited in edits(content):
        if edited != content:
            path.write_text(json.dumps(edited))
            check(what)
    path.unlink()
    path.mkdir()
    work.save(0, record)
    assert work.load(0) == record


@pytest.mark.parametrize("state", ["nothing", "other names", "other shapes", "no number"])
def test_a_state_of_other_networks_begins_anew(
    state: str, digits_workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """The state is whole and says that it is this run's: only its tensors tell."""
    setup = train._setup(Params(train=tiny()), digits_workspace)
    folder = digits_workspace.scratch / "train"
    fresh = Run(setup, 0, folder)
    tensors = fresh._state()
    wrong = {
        "nothing": {},
        "other names": {f"x{name}": tensor for name, tensor in tensors.items()},
        "other shapes": {name: torch.zeros(*tensor.shape, 2) for name, tensor in tensors.items()},
        "no number": tensors | {"run/share": torch.zeros(3)},
    }[state]
    StateFile(folder, setup.key(0)).save(wrong, {})
    again = Run(setup, 0, folder)
    assert "beginning anew" in capsys.readouterr().out
    found = again._state()
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name].nan_to_num(), tensors[name].nan_to_num()) for name in tensors)
    assert list(folder.iterdir()) == []


def test_weights_that_a_user_names_are_none(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"a": torch.ones(3)}, path)
    assert read_weights(path)["a"].tolist() == [1, 1, 1]

    def check(what: str) -> None:
        if what != "longer":
            with pytest.raises((OSError, ValueError)):
                read_weights(path)

    each(path, check)
    for other in ([torch.ones(3)], {"a": 3}, torch.ones(3)):
        torch.save(other, path)
        with pytest.raises(ValueError, match="no state dict"):
            read_weights(path)


def test_weights_that_unpack_to_more_than_they_are_are_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(100_000)}, tmp_path / "plain.pth")
    with zipfile.ZipFile(tmp_path / "plain.pth") as plain, zipfile.ZipFile(tmp_path / "packed.pth", "w") as packed:
        for member in plain.infolist():
            packed.writestr(member.filename, plain.read(member), zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match="is packed"):
        read_weights(tmp_path / "packed.pth")


@pytest.mark.parametrize(
    "line",
    [
        f'{{"{CHANNEL}": ',
        f'{{"{CHANNEL}": null}}',
        f'{{"{CHANNEL}": []}}',
        f'{{"{CHANNEL}": {{"what": "train"}}}}',
        f'{{"{CHANNEL}": {{"what": 1, "done": 1, "total": 2, "unit": "s", "line": ""}}}}',
        f'{{"{CHANNEL}": {{"what": "t", "done": "1", "total": 2, "unit": "s", "line": ""}}}}',
        f'{{"{CHANNEL}": {{"what": "t", "done": 1, "total": {10**400}, "unit": "s", "line": ""}}}}',
        f'{{"{CHANNEL}": {"[" * 100_000}',
    ],
)
def test_a_line_that_looks_like_progress_is_a_line(line: str) -> None:
    assert Report.loads(line) is None


@pytest.mark.parametrize("text", [content.decode("latin-1") for content in CONTENTS.values()], ids=list(CONTENTS))
def test_a_request_that_is_none_is_said(text: str) -> None:
    with pytest.raises(UserError, match="export-set: no request that can be read"):
        Request.load(text)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "weights.pth")
    with pytest.raises(ValueError, match="no file"):
        read_weights(tmp_path / "weights.pth")
