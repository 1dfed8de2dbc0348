"""What all classifiers of an experiment said of its test images: the file that a study of folds is computed from."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from zipfile import BadZipFile

import numpy as np

from gan.files import regular
from pipeline.errors import UserError
from pipeline.experiment.search import Experiment
from pipeline.store import Store

ANSWERS = "answers.npz"
SCORES = "scores_"  # before the name of an arm


@dataclass(frozen=True)
class Answers:
    """The scores of all arms on the same test images.

    Attributes:
        labels: int64 (N,).
        baseline: the arm without synthetic images that was best on validation.
        scores: of each arm by name, float32 (seeds, draws, N, K): logits, as the arm is judged by them.
    """

    labels: np.ndarray
    baseline: str
    scores: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, found: Experiment, store: Store) -> Self:
        """Those of an experiment on the test split of ``store``."""
        scores = {name: result.test for name, (_, result) in found.arms.items()}
        return cls(store.split("test").labels, found.baseline, scores)


def save_answers(path: Path, answers: Answers) -> None:
    """Writes the file."""
    scores = {f"{SCORES}{name}": array.astype(np.float32) for name, array in answers.scores.items()}
    with path.open("wb") as file:
        np.savez(file, labels=answers.labels, baseline=np.array(answers.baseline), **scores)  # type: ignore[arg-type]


def load_answers(path: Path) -> Answers:
    """What :func:`save_answers` wrote.

    Raises:
        UserError: it is not there, or not whole.
    """
    try:
        with np.load(regular(path), allow_pickle=False) as saved:
            scores = {name.removeprefix(SCORES): saved[name] for name in saved.files if name.startswith(SCORES)}
            found = Answers(saved["labels"], str(saved["baseline"]), scores)
    except FileNotFoundError:
        raise UserError(f"{path}: not there; run `augmint study`, which runs the folds that are missing") from None
    except (OSError, ValueError, KeyError, BadZipFile, zlib.error, EOFError) as error:
        raise UserError(
            f"{path}: damaged ({error}); run `dvc checkout`, or remove it and run `augmint study`"
        ) from None
    if found.baseline not in scores or any(array.shape[2:3] != found.labels.shape for array in scores.values()):
        raise UserError(f"{path}: not what a fold writes; remove it and run `augmint study`")
    return found
