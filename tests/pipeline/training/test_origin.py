"""``train.init_from``: what is taken up, what is refused before anything trains, and what says where it came from."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from gan.checkpoint import save_network
from gan.config import Config
from gan.networks import Shape, build
from pipeline.checks import before
from pipeline.errors import UserError
from pipeline.formats.manifest import read_about
from pipeline.params import ExportParams, Params
from pipeline.stages import check, export, train
from pipeline.training import snapshots
from pipeline.training.origin import Origin
from pipeline.workspace import Workspace
from tests.pipeline.stages.test_train import shipped, stop_after, tiny

KNOWN = ["3", "zebra", "0"]
FACTS = {"family": "resnet", "classes": KNOWN}


@pytest.fixture(autouse=True)
def _quick_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "EMBEDDER_STEPS", 5)


def make_source(folder: Path, seed: int = 1, facts: dict[str, Any] = FACTS, **sizes: int) -> Path:
    """Networks of another class list, which no training made."""
    shape = {"image_size": 8, "channels": 1, "classes": len(KNOWN), "latent_dim": 8, "width": 4} | sizes
    torch.manual_seed(seed)
    for part in ("generator", "critic"):
        own = {} if part == "generator" else {"channels": shape["channels"] * facts.get("packing", 1)}
        save_network(folder, part, build(facts["family"], part, Shape(**shape | own)), facts)
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_source(tmp_path.parent / f"{tmp_path.name}-source")


def fine_tuned(source: Path, **fields: object) -> Params:
    return Params(train=tiny(init_from=str(source), **fields))


def brief(source: Path, **fields: object) -> Params:
    return fine_tuned(source, **({"kimg": 0.16, "n_critic": 1, "grid_kimg": 1, "snapshot_kimg": 1} | fields))


def card(workspace: Workspace, part: str) -> dict[str, Any]:
    return json.loads((workspace.models / f"{part}.json").read_text(encoding="utf-8"))


def test_at_a_rate_of_nearly_nothing_the_sources_own_weights_ship(digits_workspace: Workspace, source: Path) -> None:
    """By safetensors alone: every tensor, a class's row by its name, the mean of all for a class that is new."""
    train.run(brief(source, critic_lr=1e-30, generator_lr=1e-30), digits_workspace)
    for part, embedding in (("generator", "style.embed.weight"), ("critic", "head.embed.weight")):
        before, after = (load_file(at / f"{part}.safetensors") for at in (source, digits_workspace.models))
        assert before.keys() == after.keys()
        rows, found = before.pop(embedding), after.pop(embedding)
        expected = [rows[2], *2 * [rows.mean(dim=0)], rows[0], *6 * [rows.mean(dim=0)]]  # 0, 1, 2, 3, 4 to 9
        torch.testing.assert_close(found, torch.stack(expected), rtol=1e-6, atol=1e-7)
        for name, one in before.items():
            torch.testing.assert_close(after[name], one, rtol=1e-6, atol=1e-7, msg=name)


def test_cards_say_where_it_came_from_and_the_set_and_its_card_too(digits_workspace: Workspace, source: Path) -> None:
    train.run(brief(source), digits_workspace)
    digests = {part: json.loads((source / f"{part}.json").read_text())["sha256"] for part in ("generator", "critic")}
    expected = {"path": str(source), **digests, "classes": KNOWN}
    assert card(digits_workspace, "generator")["init_from"] == card(digits_workspace, "critic")["init_from"] == expected
    export.run(Params(train=tiny(init_from=str(source)), export=ExportParams(balance=0.1)), digits_workspace)
    about = read_about(digits_workspace.synthetic / "manifest.parquet")
    assert about.init_from is not None and about.init_from.model_dump(mode="json") == expected
    said = (digits_workspace.synthetic / "README.md").read_text(encoding="utf-8")
    assert all(digest in said for digest in digests.values()) and str(source) in said and "3, zebra, 0" in said


def test_a_source_that_was_fine_tuned_itself_is_told_with_what_it_came_from(
    digits_workspace: Workspace, source: Path, tmp_path: Path
) -> None:
    """Its images too have left something in what is exported."""
    train.run(brief(source), digits_workspace)
    first, second = card(digits_workspace, "generator")["init_from"], tmp_path.parent / f"{tmp_path.name}-second"
    shutil.copytree(digits_workspace.models, second)
    train.run(brief(second), digits_workspace)
    found = card(digits_workspace, "generator")["init_from"]
    assert (found["path"], found["init_from"]) == (str(second), first) and "init_from" not in first
    export.run(Params(train=tiny(init_from=str(second)), export=ExportParams(balance=0.1)), digits_workspace)
    about = read_about(digits_workspace.synthetic / "manifest.parquet")
    assert about.init_from is not None and about.init_from.model_dump(mode="json") == found
    said = (digits_workspace.synthetic / "README.md").read_text(encoding="utf-8")
    assert said.index(str(second)) < said.index(f"started from the networks in `{source}`") < said.index("3, zebra, 0")

    damaged = json.loads((second / "generator.json").read_text()) | {"init_from": {"path": 7}}
    (second / "generator.json").write_text(json.dumps(damaged))
    with pytest.raises(UserError, match=r"generator\.json: init_from: .*path"):
        train.run(brief(second), digits_workspace)


def test_the_same_source_gives_the_same_bytes_after_a_stop_too_and_another_one_others(
    digits_workspace: Workspace, source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train.run(brief(source), digits_workspace)
    whole = shipped(digits_workspace)
    stop_after(3, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        train.run(brief(source), digits_workspace)
    capsys.readouterr()
    train.run(brief(source), digits_workspace)
    assert "goes on from" in capsys.readouterr().out
    assert shipped(digits_workspace) == whole
    stop_after(3, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        train.run(brief(source), digits_workspace)
    make_source(source, seed=2)
    train.run(brief(source), digits_workspace)
    assert "goes on from" not in capsys.readouterr().out
    assert shipped(digits_workspace) != whole


# What is refused -----------------------------------------------------------------------------------------------------


def swap(source: Path) -> None:
    facts = {"family": "resnet", "classes": ["a", "b", "c"]}
    save_network(source, "critic", build("resnet", "critic", Shape(8, 1, 3, 8, 4)), facts)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: make_source(s, facts=FACTS | {"family": "dcgan"}), r"train\.family is resnet, and there dcgan"),
        (
            lambda s: make_source(s, width=8, latent_dim=4),
            r"train\.latent_dim is 8, and there 4; train\.width is 4, and there 8",
        ),
        (lambda s: make_source(s, image_size=16), r"data\.image_size is 8, and there 16"),
        (lambda s: make_source(s, channels=3), r"data\.channels is 1, and there 3"),
        (lambda s: make_source(s, facts=FACTS | {"packing": 2}), r"train\.packing is 1, and there 2"),
        (lambda s: make_source(s, minibatch_std=4), r"train\.minibatch_std is 0, and there 4"),
        (lambda s: make_source(s, class_prior=1), r"train\.latent_prior is normal, and there class"),
        (
            lambda s: make_source(s, unlabelled=4, low_images=1),
            r"train\.unlabelled_below is 0, and there 4; train\.unlabelled_weight is 0, and there above 0",
        ),
        (swap, r"do not name the same family and classes"),
        (lambda s: (s / "critic.safetensors").unlink(), r"no usable critic .*leave train\.init_from empty"),
        (lambda s: (s / "generator.json").write_text("{}"), r"no usable generator"),
    ],
)
def test_networks_that_do_not_fit_are_refused_in_one_sentence_before_anything_trains(
    change: Callable[[Path], object], message: str, digits_workspace: Workspace, source: Path
) -> None:
    change(source)
    params = fine_tuned(source)
    for stage in (check.run, train.run):
        with pytest.raises(UserError) as caught:
            stage(params, digits_workspace)
    (found,) = [one for one in check.findings(params, digits_workspace) if one.stage == "train"]
    assert found.fatal and str(found) in str(caught.value)
    assert re.search(message, found.text), found.text
    assert "\n" not in found.text and str(source) in found.text
    assert not digits_workspace.models.exists()


@pytest.mark.parametrize("fields", [{"recipe": "auto"}, {"family": "auto"}], ids=lambda fields: next(iter(fields)))
def test_what_auto_stands_for_is_compared_with_the_source(
    fields: dict[str, str], digits_workspace: Workspace, source: Path
) -> None:
    """On a processor that is ``dcgan`` in both cases, and not the family of the default recipe."""
    params = fine_tuned(source, device="cpu", **fields)
    assert "train.family is dcgan, and there resnet" in " ".join(map(str, check.findings(params, digits_workspace)))
    make_source(source, facts=FACTS | {"family": "dcgan"})
    train.run(brief(source, device="cpu", **fields), digits_workspace)
    assert card(digits_workspace, "generator")["family"] == "dcgan"


def test_styles_that_do_not_fit_are_named_by_their_key(source: Path) -> None:
    origin = Origin.open(str(make_source(source, facts=FACTS | {"family": "stylegan2"}, adain=1)), source)
    sizes = {"kimg": 1, "latent_dim": 8, "width": 4, "minibatch_std": 0}
    with pytest.raises(UserError, match=r"trained: train\.style is demodulation, and there adain\. Set"):
        origin.require_fit(Config.of("stylegan2", **sizes), 8, 1)


def test_a_training_does_not_go_on_from_what_it_writes(digits_workspace: Workspace) -> None:
    make_source(digits_workspace.models)
    for path in ("models", str(digits_workspace.models.resolve()), "models/member_1", "data/../models"):
        (found,) = before.origin_fits(Params(train=tiny(init_from=path)), digits_workspace)
        assert "copy it to a folder outside" in found.text


@pytest.mark.parametrize(
    ("deps", "known"),
    [
        ("[data/store]", False),
        ("[data/store, ../other]", False),
        ("[data/store, SOURCE]", True),
        ("[data/store, SOURCE/]", True),
        ("[data/store, SOURCE/..]", True),
        ("[data/store, '${train.init_from}']", True),
        ("[data/store, {SOURCE: {}}]", True),
    ],
)
def test_dvc_has_to_know_of_it_and_the_line_that_is_missing_is_told(
    deps: str, known: bool, digits_workspace: Workspace, source: Path
) -> None:
    file = digits_workspace.root / "dvc.yaml"
    file.write_text(f"stages:\n  train:\n    cmd: augmint train\n    deps: {deps.replace('SOURCE', str(source))}\n")
    found = list(before.origin_fits(fine_tuned(source), digits_workspace))
    assert len(found) == (not known)
    for one in found:
        assert f"{file}:4: " in one.text and one.text.endswith(f"\n      - {source}") and one.fatal
