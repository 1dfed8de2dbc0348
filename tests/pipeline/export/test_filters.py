"""The filters against values by hand and independent references, and what becomes of rejected draws."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from prdc import compute_prdc
from scipy.spatial.distance import cdist

from gan.checkpoint import load_critic, load_generator
from gan.sampler import Sampler
from pipeline.errors import UserError
from pipeline.export import ingredients
from pipeline.export.blocks import Blocks, Drawer, Drawn, Rows
from pipeline.export.filters import PILOT, Confidence, Copies, CriticRank, Manifold, Proposals, nearest_other
from pipeline.export.ingredients import open_ingredients
from pipeline.export.plan import make_plan
from pipeline.export.rows import describe
from pipeline.params import load_params
from pipeline.provenance import set_params
from pipeline.stages.export import run
from pipeline.store import Store
from pipeline.workers.visiting import packed
from pipeline.workspace import Workspace
from tests.pipeline.export_project import contents, make, params, rows


def grey(*levels: int) -> np.ndarray:
    """One image of 8x8 for each level, all its pixels alike."""
    return np.repeat(np.array(levels, dtype=np.uint8), 64).reshape(-1, 1, 8, 8)


def draws(features: np.ndarray | None = None, probabilities: np.ndarray | None = None, label: int = 0) -> Proposals:
    """Proposals that a classifier sees like this."""
    block = Proposals(label, grey(*[0] * len(features if features is not None else probabilities)), None)  # type: ignore[arg-type]
    block.__dict__.update(features=features, probabilities=probabilities)
    return block


def test_the_confidence_band_has_two_ends() -> None:
    band = Confidence(0.25, 0.75)
    scores = band.score(draws(probabilities=np.array([[0.8, 0.2], [0.75, 0.25], [0.5, 0.5], [0.2, 0.8]]), label=1))
    assert scores.tolist() == [0.2, 0.25, 0.5, 0.8]
    assert band.passes(1, scores).tolist() == [False, True, True, False]


def test_balls_reach_to_the_nearest_neighbour_of_the_same_class() -> None:
    train = np.array([[0.0], [1.0], [3.0], [100.0], [101.0]])
    balls = Manifold(train, np.array([0, 0, 0, 1, 1]), ("a", "b"), 1)  # radii 1, 1, 2 and 1, 1
    scores = balls.score(draws(np.array([[1.5], [-1.0], [5.5], [100.5]])))
    assert scores.tolist() == [0.5, 1.0, 1.25, 48.75]
    assert balls.passes(0, scores).tolist() == [True, True, False, False]


def test_the_share_within_balls_is_the_precision_of_prdc() -> None:
    rng = np.random.default_rng(0)
    train, drawn = rng.normal(size=(90, 6)), rng.normal(0.8, 1.1, size=(70, 6))
    balls = Manifold(train, np.zeros(90, dtype=int), ("a",), 4)
    passed = balls.passes(0, balls.score(draws(drawn)))
    expected = compute_prdc(real_features=train, fake_features=drawn, nearest_k=4)["precision"]
    assert passed.mean() == pytest.approx(expected)
    assert 0.2 < expected < 0.95


def test_a_class_of_one_image_has_no_ball() -> None:
    with pytest.raises(UserError, match="class b has one train image"):
        Manifold(np.zeros((3, 2)), np.array([0, 0, 1]), ("a", "b"), 5)


def test_copies_are_nearer_than_train_images_are_to_each_other() -> None:
    train = grey(0, 10, 13, 40)  # 80, 24, 24 and 216 apart from the nearest other
    copies = Copies(train, 0.5, np.random.default_rng(0))
    assert copies.line == 52
    scores = copies.score(Proposals(0, grey(12, 5, 22, 20), None))
    assert scores.tolist() == [8, 40, 72, 56]
    assert copies.passes(0, scores).tolist() == [False, False, True, True]


def test_an_exact_copy_never_passes() -> None:
    copies = Copies(grey(7, 7), 0.5, np.random.default_rng(0))
    assert copies.line == 0
    assert copies.passes(0, copies.score(Proposals(0, grey(7, 8), None))).tolist() == [False, True]


def test_the_nearest_other_image_is_that_of_scipy() -> None:
    images = np.random.default_rng(0).integers(0, 256, (700, 1, 4, 4), dtype=np.uint8)
    images[5] = images[600]
    distances = cdist(images.reshape(700, -1).astype(float), images.reshape(700, -1).astype(float))
    np.fill_diagonal(distances, np.inf)
    chosen = np.arange(3, 700, 2)
    np.testing.assert_allclose(nearest_other(images, chosen), distances.min(axis=1)[chosen], rtol=1e-12)
    assert nearest_other(images, np.array([5, 600])).tolist() == [0, 0]


def all_ways(images: np.ndarray) -> np.ndarray:
    """By NumPy alone: each of the eight images that a square can become, (8, N, C, S, S)."""
    turned = [np.rot90(images, k, (2, 3)) for k in range(4)]
    return np.stack([*turned, *(one[..., ::-1] for one in turned)])


@pytest.mark.parametrize(("mirror", "ways"), [("horizontal", [0, 4]), ("dihedral", range(8))])
def test_with_a_mirror_mirrored_copies_are_copies(mirror: str, ways: list[int]) -> None:
    rng = np.random.default_rng(0)
    train, drawn = (rng.integers(0, 256, (count, 3, 6, 6), dtype=np.uint8) for count in (40, 30))
    drawn[:10] = all_ways(train)[ways[1], :10]
    shown = all_ways(train)[list(ways)]

    def distances(images: np.ndarray) -> np.ndarray:
        flat = shown.reshape(len(ways) * 40, -1).astype(float)
        return cdist(images.reshape(len(images), -1).astype(float), flat).reshape(len(images), len(ways), 40)

    among = distances(train)
    among[np.arange(40), :, np.arange(40)] = np.inf  # an image is no copy of itself, nor of its mirror image
    copies = Copies(train, 0.3, np.random.default_rng(0), mirror)
    assert copies.line == pytest.approx(np.quantile(among.min(axis=(1, 2)), 0.3))
    scores = copies.score(Proposals(0, drawn, None))
    np.testing.assert_allclose(scores, distances(drawn).min(axis=(1, 2)))
    assert not copies.passes(0, scores)[:10].any() and copies.passes(0, scores)[10:].any()
    assert (Copies(train, 0.3, np.random.default_rng(0)).score(Proposals(0, drawn, None))[:10] > 0).all()


def test_the_critic_drops_its_share_of_each_class(tmp_path: Path) -> None:
    workspace = make(tmp_path)
    sampler, critic = Sampler(load_generator(workspace.models)[0], 0), load_critic(workspace.models)[0]
    rank = CriticRank(critic, sampler, [0, 2], 0.25)
    for label in (0, 2):
        scores = rank.score(Proposals(label, sampler.draw(label, 0, PILOT).numpy(), None))
        assert rank.passes(label, scores).mean() == pytest.approx(0.75, abs=0.01)  # other batches round otherwise


def test_rejected_draws_are_replaced_in_order_and_counted(tmp_path: Path) -> None:
    small, large = make(tmp_path / "small"), make(tmp_path / "large")
    run(params(balance=40, filters={"critic": 0.5}), small)
    run(params(balance=140, filters={"critic": 0.5}), large)
    kept = {(row["label"], row["index"]): row["critic_score"] for row in rows(large)}
    some = {(row["label"], row["index"]): row["critic_score"] for row in rows(small)}
    assert some.items() <= kept.items()
    figures = json.loads(large.metrics("export").read_text())
    for each in figures["classes"]:
        indices = sorted(index for label, index in kept if label == each["class"])
        assert len(indices) == each["accepted"] == each["wanted"]
        assert each["drawn"] == indices[-1] + 1
        assert each["rejected"] == {"critic": each["drawn"] - each["accepted"]}
        assert sorted(index for label, index in some if label == each["class"]) == indices[: 40 - 140 + len(indices)]
    assert {row["filters"][0] for row in rows(large)} == {"critic"}
    assert figures["filters"]["critic"] == 0.5


def test_every_figure_of_the_manifest_is_what_its_filter_asks_for(tmp_path: Path) -> None:
    workspace = make(tmp_path)
    filters = {"confidence": (0.01, 1.0), "copies": 0.01, "critic": 0.1, "steps": 2}
    run(params(balance=30, filters=filters, min_acceptance=0.001), workspace)
    images = np.load(workspace.store / "images.npy")[:10].reshape(10, -1).astype(float)
    sampler = Sampler(load_generator(workspace.models)[0], rows(workspace)[0]["seed"])
    for row in rows(workspace)[::7]:
        drawn = sampler.draw(row["label_index"], row["index"], 1).numpy().reshape(1, -1).astype(float)
        assert row["nearest_train"] == pytest.approx(cdist(drawn, images).min())
        assert 0.01 <= row["label_confidence"] <= 1
        assert row["filters"] == ["confidence", "copies", "critic"]


def test_the_filters_know_the_train_split_alone(tmp_path: Path) -> None:
    sets = []
    for level in (0, 255):
        workspace = make(tmp_path / str(level))
        images = np.load(workspace.store / "images.npy")
        images[10:] = level
        np.save(workspace.store / "images.npy", images)
        filters = {"confidence": (0.0, 1.0), "copies": 0.01, "critic": 0.1, "steps": 2}
        run(params(balance=20, filters=filters, min_acceptance=0.001), workspace)
        sets.append(contents(workspace.synthetic))
    assert sets[0] == sets[1]


def test_a_class_that_the_filters_empty_stops_with_what_to_do(tmp_path: Path) -> None:
    workspace = make(tmp_path)
    run(params(), workspace)
    before = contents(workspace.synthetic)
    said = r"class a/b: the filters pass \d of 256 proposals .*min_acceptance.*Loosen export\.filters\.confidence"
    with pytest.raises(UserError, match=said):
        run(params(balance=50, filters={"confidence": (0.999, 1.0), "critic": 0.1, "steps": 2}), workspace)
    assert contents(workspace.synthetic) == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("confidence: [0.9, 0.5]", "params.yaml:3: export.filters.confidence: the band's low end (0.9) must be below"),
        ("confidence: [0.9, 1.5]", "params.yaml:3: export.filters.confidence"),
        ("copies: 1.0", "params.yaml:3: export.filters.copies"),
        ("critc: 0.1", "params.yaml:3: export.filters.critc: unknown key; did you mean `critic`?"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path: Path, text: str, said: str) -> None:
    path = Workspace(tmp_path).params
    path.write_text(f"export:\n  filters:\n    {text}\n")
    with pytest.raises(UserError) as caught:
        load_params(path)
    assert said in str(caught.value)


def test_both_ends_of_the_confidence_band_are_in_it() -> None:
    passed = Confidence(0.5, 1.0).passes(0, np.array([0.49, 0.5, 0.75, 1.0]))
    np.testing.assert_array_equal(passed, [False, True, True, True])


def test_filters_go_to_workers_as_they_were_taught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = make(tmp_path)
    filters = {"confidence": (0.0, 1.0), "manifold": 1, "copies": 0.1, "critic": 0.5, "steps": 3}
    asked = params(balance=20, filters=filters)
    store = Store.open(workspace.store)
    plan = make_plan(store, {"cup": 8}, "train")
    source = open_ingredients(asked, workspace, store, plan)
    given = Drawer(describe(set_params(asked), source, store, []), source)
    monkeypatch.setattr(ingredients, "train_domain_embedder", None)  # nobody learns once more
    found = pickle.loads(packed(given))
    for shard in (Blocks(1, 0, 1), Rows("train", np.array([3, 0]))):
        assert pickle.dumps(plain(found(shard))) == pickle.dumps(plain(given(shard)))
    assert set(found(Blocks(1, 0, 1)).judgement.scores) == {"confidence", "manifold", "copies", "critic"}


def plain(made: Drawn | list[bytes]) -> list:
    """What was made, without how long it took."""
    if isinstance(made, list):
        return made
    judged = [dict(each) for each in made.judgement.__dict__.values()]
    return [list(made.contents), *({k: v.tolist() for k, v in each.items()} for each in judged)]
