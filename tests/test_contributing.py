"""One more of each, as CONTRIBUTING.md says: a plug-in adds it, and uses it."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from gan.checkpoint import load_generator
from gan.losses import LOSSES, Loss
from gan.networks import FAMILIES, Family, dcgan, resnet
from gan.penalties import PENALTIES, image_gradient
from gan.recipes import RECIPES
from pipeline.classifier.training import Recipe
from pipeline.experiment.adjustment import Counts
from pipeline.experiment.arms import ALONE, Arm, without_synthetic
from pipeline.experiment.search import experiment
from pipeline.experiment.trial import Predictions
from pipeline.figures import FIGURES, Figure
from pipeline.formats import FORMATS, describe, open_reader, open_writer
from pipeline.formats.base import Item, Stored, Written
from pipeline.formats.card import PATTERNS
from pipeline.formats.encoding import encode
from pipeline.formats.manifest import MANIFEST, About, ManifestWriter
from pipeline.gates import judge
from pipeline.metrics.embedded import Embedded
from pipeline.metrics.quality import BY_DOMAIN, summarise
from pipeline.metrics.resampling import subsets
from pipeline.params import ClassifyParams, DataParams, Params, TrainParams, load_params
from pipeline.report.quality import _figures
from pipeline.sources import SOURCES, Listing, Payload
from pipeline.stages import ingest, train
from pipeline.store import Store
from pipeline.training import snapshots
from pipeline.workspace import Workspace
from tests.pipeline.conftest import digits, digits_store, digits_workspace  # noqa: F401  (fixtures)
from tests.pipeline.made_set import made_about

ROOT = Path(__file__).parents[1]


def test_the_page_names_every_kind() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for kind in ("network", "loss", "penalty", "recipe", "source", "format", "metric", "arm", "stage"):
        assert f"\n| {kind} |" in page
    for place in ("gan/networks/", "gan/losses.py", "gan/penalties.py", "pipeline/sources/", "pipeline/formats/"):
        assert place in page and (ROOT / place).exists()


def flat_gradient(critic: Callable, real: Tensor, fake: Tensor, labels: Tensor, alpha: Tensor) -> Tensor:
    """The mean gradient of real images, whatever its direction."""
    return image_gradient(critic, real, labels).abs().mean()


def test_a_network_a_loss_a_penalty_and_a_recipe(
    digits_workspace: Workspace,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(snapshots, "EMBEDDER_STEPS", 5)
    with pytest.raises(ValueError, match="unknown name 'mixed'; did you mean"):
        TrainParams(family="mixed")
    monkeypatch.setitem(FAMILIES, "mixed", Family(dcgan.Generator, resnet.Critic, defaults={"width": 4}))
    monkeypatch.setitem(LOSSES, "plain", Loss(lambda real, fake: (fake - real).mean(), lambda fake, _: -fake.mean()))
    monkeypatch.setitem(PENALTIES, "flat", flat_gradient)
    monkeypatch.setitem(RECIPES, "ours", {"family": "mixed", "loss": "plain", "penalty": "flat", "n_critic": 1})
    train.run(Params(train=TrainParams(recipe="ours", kimg=0.32, batch_size=16)), digits_workspace)
    generator, card = load_generator(digits_workspace.models)
    assert card["family"] == "mixed"
    assert isinstance(generator, dcgan.Generator)


class Colours:
    """Flat images, a class a colour."""

    def __init__(self, classes: Sequence[str]) -> None:
        count = 40 * len(classes)
        self.listing = Listing(
            paths=[f"{classes[i % len(classes)]}/{i:03d}" for i in range(count)],
            labels=np.arange(count) % len(classes),
            classes=tuple(classes),
            splits=np.full(count, -1, np.int8),
        )

    def images(self) -> Iterator[tuple[int, Callable[[], Payload]]]:
        """See :class:`pipeline.sources.base.Source`."""
        for index in range(len(self.listing)):
            pixels = np.random.default_rng(index).integers(0, 255, (8, 8, 3), dtype=np.uint8)
            pixels[..., index % len(self.listing.classes)] = 255
            yield index, lambda pixels=pixels: Image.fromarray(pixels)


def test_a_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SOURCES, "colours", lambda data, path: Colours(path.name.split("-")))
    chosen = DataParams(path="red-green", near_duplicate_bits=0).model_copy(update={"source": "colours"})
    ingest.run(Params().model_copy(update={"data": chosen}), Workspace(tmp_path))
    store = Store.open(Workspace(tmp_path).store)
    assert store.classes == ("red", "green")
    assert (store.split("train").images[store.split("train").labels == 1][:, 1] == 255).all()


class Flat:
    """All images in one folder, the label in front of the name."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write_part(self, number: int, items: Sequence[Item]) -> list[Written]:
        """See :class:`pipeline.formats.base.Writer`."""
        (self.root / "flat").mkdir(parents=True, exist_ok=True)
        files = [f"flat/{item.label}_{item.name}.png" for item in items]
        for file, item in zip(files, items, strict=True):
            (self.root / file).write_bytes(item.content)
        return [Written(file, "0" * 64) for file in files]

    def close(self) -> None:
        """Nothing is left to do."""

    def files(self) -> Iterator[Path]:
        """See :class:`pipeline.formats.base.Reader`."""
        return iter(sorted(path.relative_to(self.root) for path in (self.root / "flat").iterdir()))

    def read(self, file: Path) -> Iterator[Stored]:
        """The one image in ``file``."""
        label, _, name = file.stem.partition("_")
        yield Stored(file.as_posix(), name, int(label), (self.root / file).read_bytes())

    def __iter__(self) -> Iterator[Stored]:
        for file in self.files():
            yield from self.read(file)


def test_a_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FORMATS, "flat", (lambda root, about: Flat(root), lambda root, about: Flat(root)))
    monkeypatch.setitem(PATTERNS, "flat", "flat/*.png")
    made = made_about(Params())
    flat = {"export": made.params["export"] | {"format": "flat"}}
    about: About = made.model_copy(update={"params": made.params | flat})
    image = np.random.default_rng(0).integers(0, 255, (1, 8, 8), dtype=np.uint8)
    open_writer(tmp_path, about).write_part(0, [Item("synthetic-3-000001", "train", 3, encode(image, about.encoding))])
    with ManifestWriter(tmp_path / MANIFEST, about):
        pass
    describe(tmp_path, about, None)
    assert "flat/*.png" in (tmp_path / "README.md").read_text(encoding="utf-8")
    (stored,) = open_reader(tmp_path, about)
    assert (stored.label, stored.name) == (3, "synthetic-3-000001")


def test_a_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        FIGURES, "brightness", Figure("Brightness", "as bright as real", "look at it", worse_above=True, least=0.0)
    )
    monkeypatch.setitem(
        BY_DOMAIN, "brightness", lambda one, other: float(abs(one.tones[:, 0].mean() - other.tones[:, 0].mean()))
    )
    rng, labels = np.random.default_rng(0), np.arange(60) % 2

    def side(bright: float) -> Embedded:
        tones = np.stack([np.full((60, 1), bright) + rng.normal(0, 1, (60, 1)), np.ones((60, 1))], axis=1)
        return Embedded(rng.normal(size=(60, 4)).astype(np.float32), labels, labels, tones, np.zeros((60, 4)))

    samples = [subsets(labels, labels, rng) for _ in range(4)]
    quality = summarise(side(100), side(180), ("a", "b"), samples, 3)
    assert quality["brightness"] == pytest.approx(80, abs=1)
    assert "brightness" in quality["below_floor"]
    assert not judge({"brightness": "<= floor"}, quality | {"embedders": {}})[0]["passed"]
    shown = {row["title"]: row for row in _figures(quality)}
    assert shown["Brightness"]["short"]


class Answers:
    """In the place of a runner: classifiers of the arm ``best`` are right, the others guess."""

    def run(self, *arms: Arm, seeds: int, draws: int, crossed: bool = True) -> list[Predictions]:
        """Right answers are 0."""
        found = []
        for arm in arms:
            shape = (seeds, draws if arm.draws_matter else 1, 50)
            told = np.zeros(shape, np.int64) if arm.name == self.best else np.arange(50) % 2 + np.zeros(shape, np.int64)
            logits = np.eye(2, dtype=np.float32)[told]
            found.append(Predictions(logits, logits, told))
        return found

    def __init__(self, best: str) -> None:
        self.best = best


def test_an_arm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ALONE, "affine", (Arm("affine", Recipe("none", "affine")),))
    counts = Counts(*np.full((3, 2), 50))
    found = experiment(Answers("affine"), ClassifyParams(), [1.0], counts, np.zeros(50, np.int64))  # type: ignore[arg-type]
    assert found.baseline == "affine"
    assert found.arms["affine"][0].recipe == Recipe("none", "affine")
    assert [tried.arm.name for tried in found.tried].count("affine") == len(ClassifyParams().tuning)
    assert without_synthetic()[-4:] == ("affine", "mixed", "retrained", "control")


STAGE = """
import json
from pipeline.params import load_params
from pipeline.workspace import Workspace

def run(params, workspace):
    (workspace.root / "sizes.json").write_text(json.dumps({"size": params.data.image_size}))

run(load_params(Workspace().params), Workspace())
"""


def test_a_stage(tmp_path: Path) -> None:
    (tmp_path / "sizes.py").write_text(STAGE, encoding="utf-8")
    (tmp_path / "params.yaml").write_text("data: {image_size: 16}\n", encoding="utf-8")
    stage = f"{{cmd: '{sys.executable} sizes.py', params: [data], metrics: [sizes.json: {{cache: false}}]}}"
    (tmp_path / "dvc.yaml").write_text(f"stages:\n  sizes: {stage}\n", encoding="utf-8")
    assert load_params(tmp_path / "params.yaml").data.image_size == 16
    environment = os.environ | {"DVC_NO_ANALYTICS": "1", "PYTHONPATH": str(ROOT)}
    for command in (["init", "--no-scm", "-q"], ["repro", "-q"]):
        subprocess.run([sys.executable, "-m", "dvc", *command], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "sizes.json").read_text() == '{"size": 16}'
    assert torch.get_num_threads() == 1  # the tests' own setting: a stage has its own process
