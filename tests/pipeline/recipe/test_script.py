"""The script of `augmint recipe`: what it says is what was trained, and it runs without augmint."""

import ast
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from pipeline.classifier.network import SmallResNet
from pipeline.classifier.shipped import save_shipped
from pipeline.classifier.training import Recipe, fit, logits
from pipeline.cli import main
from pipeline.recipe.script import render
from pipeline.store import Store
from tests.pipeline.recipe.cards import COPIES, SECOND, card

STEPS, BATCH, WIDTH = 50, 32, 8
SEEDS = 3
HOSTILE = 'it"s """ \\ \x1b[31m'

VARIANTS: tuple[Mapping[str, Any], ...] = (
    {},
    {"balance": "weights", "augment": "rand", "mix": "mixup", "second_pass": SECOND},
    {"balance": "oversampling", "augment": "trivial", "mix": "cutmix", "second_pass": COPIES},
    {"balance": "oversampling", "augment": "affine", "second_pass": SECOND | {"dose": 0.5, "copies_share": 0.4}},
    {"balance": "weights", "second_pass": SECOND | {"alone": True, "steps": 80}},
    {"augment": "rand", "second_pass": COPIES | {"steps": 80}},
    {"mix": "cmo", "flips": "dihedral", "augment": "rand", "tau": 1.0, "logit_offsets": [0.0, -1.5]},
    {"mix": "cmo", "flips": "horizontal", "second_pass": SECOND | {"own_norms": True}},
    {"augment": "rand", "head": "retrained", "head_steps": 32},
    {"augment": "rand", "head": "retrained", "head_steps": 32, "second_pass": COPIES},
    {"mix": "mixup", "head": "retrained", "head_steps": 32, "second_pass": SECOND | {"dose": 0.5, "copies_share": 0.4}},
    {"classifier": "torchvision:resnet18", "image_size": 64, "channels": 3, "fit": "pad", "weights": "w.pth"},
    {"classifier": "torchvision:resnet18", "fit": "stretch", "weights": HOSTILE + ".safetensors"},
    {"classifier": "mynet:make", "image_size": 64, "logit_offsets": [0.5, -0.5], "recipe": HOSTILE},
    {"levels": {"low": 0.0, "high": 4095.0}, "second_pass": COPIES | {"by_class": list(range(100))}},
)


def test_it_is_python_as_ruff_leaves_it(tmp_path: Path) -> None:
    for number, variant in enumerate(VARIANTS):
        (tmp_path / f"train_{number}.py").write_text(render(card(**variant)), encoding="utf-8")
    ruff = [sys.executable, "-m", "ruff"]
    rules = ["--isolated", "--line-length", "120"]
    # where a module of one's own belongs among the imports hangs on where it lies
    checked = subprocess.run(
        [
            *ruff,
            "check",
            *rules,
            "--select",
            "E,F,W,UP,B,SIM,RET,C4,D1",
            "--ignore",
            "D105,D107,D102,RET504",
            str(tmp_path),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout
    formatted = subprocess.run(
        [*ruff, "format", *rules, "--diff", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert formatted.returncode == 0, formatted.stdout


def test_it_needs_torch_torchvision_and_pillow_alone() -> None:
    for variant in VARIANTS[:11]:
        tree = ast.parse(render(card(**variant)))
        found = {
            name.partition(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names])
        }
        assert found - set(sys.stdlib_module_names) == {"torch", "torchvision", "PIL"}


@pytest.fixture(scope="module")
def folder(digits_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The train and test split of the digits as folders, the later half of the digits rare."""
    root = tmp_path_factory.mktemp("digits")
    for name in ("train", "test"):
        images, labels = _split(digits_store, name)
        for row, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
            file = root / name / str(label) / f"{row:04d}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[0]).save(file)
    return root


def _split(store: Store, name: str) -> tuple[np.ndarray, np.ndarray]:
    split = store.split(name)  # type: ignore[arg-type]
    rows = np.arange(len(split))
    if name == "train":
        rank = np.array([(split.labels[:row] == split.labels[row]).sum() for row in rows])
        rows = rows[rank < np.where(split.labels >= 5, 12, 60)]
    return split.images[rows], split.labels[rows]


def _script(tmp_path: Path, **changes: Any) -> ModuleType:
    file = tmp_path / "train.py"
    sizes = {"steps": STEPS, "batch_size": BATCH, "width": WIDTH}
    file.write_text(render(card(**sizes | changes)), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("recipe_train", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _ours(store: Store, recipe: Recipe, seeds: int = SEEDS) -> list[float]:
    """Balanced accuracy of the classifiers that augmint trains by a recipe."""
    (images, labels), (tested, truth) = _split(store, "train"), _split(store, "test")
    found = []
    for seed in range(seeds):
        network = SmallResNet(10, 1, 8, width=WIDTH, seed=seed)
        settings: dict[str, Any] = {"seed": seed, "steps": STEPS, "batch_size": BATCH, "lr": 2e-2, "weight_decay": 5e-2}
        fit(network, images, labels, recipe=recipe, **settings)
        right = logits(network, tested).argmax(1) == truth
        found.append(float(np.mean([right[truth == label].mean() for label in range(10)])))
    return found


def _theirs(script: ModuleType, folder: Path, *more: Path) -> list[float]:
    names, train, test = script.find(folder)
    assert names == [str(label) for label in range(10)]
    return [
        float(script.recalls(script.fit(train, names, seed, *more), test, len(names)).mean()) for seed in range(SEEDS)
    ]


@pytest.mark.parametrize("variant", VARIANTS[:11], ids=range(11))
def test_each_kind_runs(variant: Mapping[str, Any], folder: Path, tmp_path: Path) -> None:
    """Two steps of each, and two of the head's where it is retrained; labels that are asked for are learnt from."""
    short: dict[str, Any] = {"steps": 4 if variant.get("head_steps") else 2, "batch_size": 8, "width": 4}
    short |= {"head_steps": 2} if variant.get("head_steps") else {}
    if second := variant.get("second_pass"):
        steps = 1 if second["steps"] < 160 else 2
        counts = {"by_class": [0, *range(1, 10)], "exported": [0, *range(1, 10)]}
        short["second_pass"] = second | counts | {"steps": steps, "batch_size": 8}
    if "logit_offsets" in variant:
        short["logit_offsets"] = [0.0] * 9 + [-40.0]  # the rarest class gets all
    script = _script(tmp_path, **variant | short)
    made = tmp_path / "images"
    for label in range(10):
        (made / str(label)).mkdir(parents=True)
        for i in range(label):
            shutil.copy(
                next((folder / "train" / str(label)).iterdir()), made / str(label) / f"synthetic-{label}-{i}.png"
            )
    names, train, test = script.find(folder)
    more = [made] if "synthetic: Path" in (tmp_path / "train.py").read_text(encoding="utf-8") else []
    network = script.fit(train, names, 0, *more)
    found = script.recalls(network, test[::9], 10)
    assert not network.training and ((found >= 0) | found.isnan()).all()
    if "logit_offsets" in variant:
        assert found[9] == 1 and not found[:9].nansum()


def test_the_command_writes_a_file_or_to_standard_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    missing = CliRunner().invoke(main, ["recipe"])
    assert missing.exit_code == 2 and missing.stdout == ""
    assert "classifier/classifier.json: not there; run `dvc repro classify` first" in missing.stderr
    content = card(augment="rand", second_pass=COPIES)
    save_shipped(Path("classifier"), SmallResNet(2, 1, 8, width=16), content, [])
    shown = CliRunner().invoke(main, ["recipe"])
    written = CliRunner().invoke(main, ["recipe", "--out", "train.py"])
    assert (shown.exit_code, written.exit_code, written.stdout) == (0, 0, "")
    assert shown.stdout == Path("train.py").read_text(encoding="utf-8") == render(content)
    assert "run it by `python train.py FOLDER`" in written.stderr
    saved = Path("classifier/classifier.json")
    saved.write_text(saved.read_text(encoding="utf-8").replace("0.9134", "0.9999"), encoding="utf-8")
    assert CliRunner().invoke(main, ["recipe"]).exit_code == 2


@pytest.mark.parametrize("classifier", ["torchvision:resnet18", "recipe_net:make"])
def test_other_networks_run(classifier: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "from torch import nn\ndef make(k, c, s): return nn.Sequential(nn.Flatten(), nn.Linear(c * s * s, k))\n"
    (tmp_path / "recipe_net.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    script = _script(tmp_path, classifier=classifier, steps=2, batch_size=4)
    names, train, test = script.find(folder)
    assert (script.recalls(script.fit(train, names, 0), test[::20], 10) >= 0).any()


def test_a_folder_of_classes_alone_is_split(folder: Path, tmp_path: Path) -> None:
    names, train, test = _script(tmp_path).find(folder / "train")
    files = sorted(str(path) for path in (folder / "train").rglob("*.png"))
    assert sorted(path for path, _ in [*train, *test]) == files and len(names) == 10
    for label in range(10):
        kept, tested = (sum(one == label for _, one in part) for part in (train, test))
        assert tested == round(0.3 * (kept + tested))


def test_it_trains_as_well_as_the_arm_that_it_stands_for(digits_store: Store, folder: Path, tmp_path: Path) -> None:
    """Within 3 points, over three seeds; plain training and the arm are further apart than that."""
    (plain, *_), arm = _ours(digits_store, Recipe(), 1), _ours(digits_store, Recipe("oversampling", "rand"))
    script = _theirs(_script(tmp_path, balance="oversampling", augment="rand"), folder)
    assert np.mean(arm) - plain > 0.06
    assert abs(np.mean(script) - np.mean(arm)) < 0.03
