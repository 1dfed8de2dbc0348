"""``study/dvc.yaml``: a stage for each fold and one for what they say together, made from params.yaml.

`dvc repro` without a target leaves them alone, as they are no part of the project's own ``dvc.yaml``.
"""

from collections.abc import Sequence
from pathlib import Path

from pipeline.atomic import replacing
from pipeline.params import Params
from pipeline.plain_yaml import scalar
from pipeline.study.folds import Fold, all_folds
from pipeline.workspace import Workspace

FILE = "study/dvc.yaml"
HEAD = "# Made from params.yaml by `augmint study`, which writes it anew; see docs/study.md.\n"
OF_A_FOLD = ("seed", "data.val_fraction", "data.long_tail", "train", "evaluate", "export", "classify", "study.folds")
OF_ALL = ("seed", "classify", "study")


def target(fold: Fold) -> str:
    """The address of a fold's stage for `dvc repro`.

    >>> target(Fold(0, 3))
    'study/dvc.yaml:fold@0-3'
    """
    return f"{FILE}:fold@{fold}"


SUMMARY = f"{FILE}:summary"
"""The address of the stage that reads all folds."""


def text(params: Params, root: Path = Path()) -> str:
    """The file's content.

    >>> "matrix: {fold: [0-0, 0-1, 0-2, 0-3, 0-4]}" in text(Params())
    True
    """
    folds = [str(fold) for fold in all_folds(params.study)]
    lines = [
        *("stages:", "  fold:", "    desc: The whole experiment with one part of the images as its test set."),
        *(f"    matrix: {{fold: [{', '.join(folds)}]}}", "    wdir: ..", "    cmd: augmint study-fold ${item.fold}"),
        *_listed("deps", ["data/store", *_of_the_user(params, root)]),
        *_listed("params", OF_A_FOLD),
        *_listed("outs", ["study/folds/${item.fold}: {persist: true}"]),
        "  summary:",
        *("    desc: What all folds say together.", "    wdir: ..", "    cmd: augmint study-summary"),
        *_listed("deps", ["data/store", *(f"study/folds/{fold}" for fold in folds)]),
        *_listed("params", OF_ALL),
        *_listed("metrics", ["metrics/study.json: {cache: false, persist: true}"]),
    ]
    return HEAD + "\n".join(lines) + "\n"


def write(params: Params, workspace: Workspace) -> None:
    """Writes the file, unless it is there as it should be."""
    path, content = workspace.root / FILE, text(params, workspace.root)
    if path.is_file() and path.read_text(encoding="utf-8") == content:
        return
    with replacing(path) as (part,):
        part.write_text(content, encoding="utf-8")


def _of_the_user(params: Params, root: Path) -> list[str]:
    """What the generators go on from and the classifiers are made of, which `dvc.yaml` may not know."""
    classify, origin = params.classify, params.train.init_from
    module = classify.classifier.partition(":")[0].replace(".", "/") + ".py"
    files = [name for name in (classify.weights, module) if name and (root / name).is_file()]
    return [scalar(name) for name in ([origin] if origin else []) + files]


def _listed(name: str, entries: Sequence[str]) -> list[str]:
    return [f"    {name}:", *(f"      - {entry}" for entry in entries)]
