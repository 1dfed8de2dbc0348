"""A default stands once, in the models: the demo's file and the documents are held against them."""

import dataclasses
import pkgutil
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from gan.config import Config
from gan.networks import FAMILIES
from gan.recipes import RECIPES
from pipeline.params import Params, TrainParams, load_params

ROOT = Path(__file__).parents[2]
DEMO = re.compile(r"for the demo, else (\S+)$")


def leaves(tree: dict[str, Any], *above: str) -> Iterator[tuple[str, Any, str]]:
    """Dotted key, value and comment of every key of a file that is no group of ``Params``."""
    for key, value in tree.items():
        name = ".".join((*above, key))
        tokens = tree.ca.items.get(key)  # type: ignore[attr-defined]
        comment = tokens[2].value.split("\n")[0].strip() if tokens and tokens[2] else ""
        if isinstance(value, dict) and isinstance(default(name), dict) and default(name):
            yield from leaves(value, *above, key)
        else:
            yield name, value, comment


def default(name: str) -> Any:
    """The model's default of a dotted key, as YAML would give it."""
    value: Any = Params().model_dump(mode="json")
    for key in name.split("."):
        value = value[key]
    return value


def plain(value: Any) -> Any:
    return (
        {k: plain(v) for k, v in value.items()}
        if isinstance(value, dict)
        else ([plain(v) for v in value] if isinstance(value, list | tuple) else value)
    )


def test_the_demos_file_says_where_it_differs_from_the_defaults() -> None:
    content = YAML().load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    seen = []
    for name, value, comment in leaves(content):
        said = DEMO.search(comment)
        assert (plain(value) != default(name)) == bool(said), f"{name}: {value} in the file, {default(name)} by default"
        if said:
            assert YAML(typ="safe").load(said[1]) == default(name), name
        seen.append(name)
    assert set(seen) >= {f"train.{name}" for name in type(Params().train).model_fields}
    assert len(seen) > 90


# What documents call a default ----------------------------------------------------------------------------------------

OFF = {"confidence": None, "manifold": 0, "copies": 0.0, "critic": 0.0}
PAGES = ("README.md", "CONTRIBUTING.md", *sorted(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")))
# every line with the word, by what stands in it: what it says of the models, or None where it speaks of no value
STATED: dict[str, dict[str, Callable[[Params], bool] | None]] = {
    "README.md": {"WGAN-GP by default": lambda p: p.train.recipe == "wgan-gp"},
    "CONTRIBUTING.md": {"where its default": None},
    "docs/evaluate.md": {"with the defaults of `evaluate`": None},
    "docs/export.md": {
        "The default, `balance: auto`": lambda p: p.export.balance == "auto",
        "Each is off by default": lambda p: p.export.filters.model_dump(exclude={"steps"}) == OFF,
    },
    "docs/glossary.md": {"named defaults of a training": None},
    "docs/prefect.md": {"get-default-base-job-template": None, "default-src": None},
    "docs/parameters.md": {"its default, and the comment": None, "has its default": None, "| takes | default |": None},
    "docs/recipes.md": {"np.random.default_rng": None},
    "docs/tables.md": {"`default/partial-train": None, "marks one as the default": None},
    "docs/training.md": {
        "sets defaults that belong together": None,
        "beside the default": lambda p: p.train.recipe != "r3",
    },
    "docs/verdict.md": {"by default fills each class up to the largest": lambda p: p.export.balance == "auto"},
    "docs/benchmarks.md": {
        "default Adam": None,
        "default policy**": None,
        "The default policy is bfloat16": lambda p: (p.train.precision, p.train.penalty_fraction) == ("auto", 0.5),
        "until augmint's defaults reach": None,
        "the default recipe loses a mode": lambda p: p.train.recipe == "wgan-gp",
        "the default where the hardware has it": lambda p: p.train.precision == "auto",
    },
    "docs/results.md": {
        "3 draws (the default)": lambda p: p.classify.draws == 3,
        "all filters stay off by default": lambda p: p.export.filters.model_dump(exclude={"steps"}) == OFF,
    },
}


@pytest.mark.parametrize("page", PAGES)
def test_what_documents_call_a_default_is_one(page: str) -> None:
    lines = [line for line in (ROOT / page).read_text(encoding="utf-8").splitlines() if "default" in line.lower()]
    stated = STATED.get(page, {})
    for line in lines:
        assert any(words in line for words in stated), f"{page} speaks of a default that STATED does not hold: {line}"
    for words, holds in stated.items():
        assert any(words in line for line in lines), f"{page} no longer says: {words}"
        assert holds is None or holds(Params()), f"{page}: {words}"


WORDS = {
    **{"wasserstein": "Wasserstein", "logistic": "logistic (BCE)", "relativistic": "relativistic pairs"},
    **{"two_sided": "two-sided", "one_sided": "one-sided", "r1": "R1", "r1_r2": "R1 and R2", "none": "none"},
}


def test_the_table_of_recipes_says_what_they_are() -> None:
    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w-]+)` \| ([^|]+) \| ([^|]+) \| (\d+) \| (\w+) \|", page, re.MULTILINE)
    assert [row[0] for row in rows] == list(RECIPES)
    for name, loss, penalty, steps, family in rows:
        config = Config.of(name, kimg=1)
        assert (loss, int(steps), family) == (WORDS[config.loss], config.n_critic, config.family), name
        assert re.split("[,;]", penalty)[0] == WORDS[config.penalty], name
        strength = config.weight_clip if config.penalty == "none" else config.penalty_weight
        numbers = [float(number) for number in re.findall(r"\d[\d.]*", re.sub("R1|R2", "", penalty))]
        assert numbers == ([strength] if strength else []), name
        assert ("half of each batch" in penalty) <= (config.penalty_fraction == 0.5)


REGISTRIES = {
    "train.recipe": "gan.recipes:RECIPES",
    "train.loss": "gan.losses:LOSSES",
    "train.penalty": "gan.penalties:PENALTIES",
    "train.family": "gan.networks:FAMILIES",
    "train.precision": "gan.objective:PRECISIONS",
    "train.augment": "gan.augment:OPERATIONS",
}


@pytest.mark.parametrize("name", sorted(REGISTRIES))
def test_the_comment_of_a_name_lists_all_that_are_registered(name: str) -> None:
    content = YAML().load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    value, comment = {key: (value, comment) for key, value, comment in leaves(content)}[name]
    listed = set(re.split(r" \| |, |: ", comment.lstrip("# ").split(";")[0]))
    listed |= set(value) if isinstance(value, list) else set()
    assert listed - {"auto", "also"} == set(pkgutil.resolve_name(REGISTRIES[name]))


@pytest.mark.parametrize("key", ["train.recipe", "train.loss", "train.penalty", "train.family"])
def test_the_page_on_training_names_all_that_are_registered(key: str) -> None:
    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    names = list(pkgutil.resolve_name(REGISTRIES[key]))
    assert [name for name in names if f"`{name}`" not in page and f"| {name} |" not in page] == []


# One default in code --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", dataclasses.fields(Config), ids=lambda field: field.name)
def test_a_default_that_gan_and_pipeline_both_have_is_the_same(field: dataclasses.Field[Any]) -> None:
    if field.default is dataclasses.MISSING or field.name not in TrainParams.model_fields:
        return
    if field.name not in ("precision", "compiled"):  # ``auto`` stands for what the device has
        assert getattr(TrainParams(), field.name) in (None, field.default)
    assert getattr(TrainParams().config, field.name) == field.default


def test_the_gans_defaults_are_the_recipe_wgan_gp() -> None:
    assert Config.of("wgan-gp", kimg=1) == Config(kimg=1)


def test_what_a_file_does_not_name_is_the_familys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own = {"width": 16, "augment": (), "beta2": 0.99, "critic_lr": 3e-4}
    monkeypatch.setitem(FAMILIES, "toy", dataclasses.replace(FAMILIES["dcgan"], defaults=own))
    file = tmp_path / "params.yaml"
    file.write_text("train: {family: toy, recipe: dcgan, latent_dim: 8}\n", encoding="utf-8")
    config = load_params(file).train.config
    assert (config.width, config.augment, config.beta2, config.latent_dim) == (16, (), 0.99, 8)
    assert config.critic_lr == 2e-4  # the recipe's
    file.write_text("train: {family: toy, width: 32, augment: auto, beta2: null}\n", encoding="utf-8")
    config = load_params(file).train.config
    assert (config.width, config.augment, config.beta2) == (32, (), 0.99)


def test_the_models_are_read_without_torch() -> None:
    """Commands that need no network, and messages about a misspelt key, come at once."""
    told = "import sys, pipeline.params, gan.config, pipeline.cli; print({'torch', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", told], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.stem)
def test_an_example_has_every_key_that_a_stage_depends_on(example: Path) -> None:
    yaml = YAML(typ="safe")
    stages = yaml.load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"].values()
    content = yaml.load(example.read_text(encoding="utf-8"))
    for key in {key for stage in stages for key in stage.get("params", ())}:
        found: Any = content
        for name in key.split("."):
            assert name in found, f"{key}: DVC would end before the stage"
            found = found[name]
