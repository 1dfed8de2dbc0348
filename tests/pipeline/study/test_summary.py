"""What a study says, against scikit-learn and plain sums over the folds' files."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score, balanced_accuracy_score

from pipeline.errors import UserError
from pipeline.experiment.answers import ANSWERS
from pipeline.params import ClassifyParams, Params, StudyParams
from pipeline.store import Store
from pipeline.study.folds import all_folds
from pipeline.study.plan import write_plan
from pipeline.study.running import examine, run_summary
from pipeline.study.summary import summarise
from pipeline.workspace import Workspace
from tests.pipeline.study.made_study import ARMS, PARAMS, make_folds, make_store


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A finished study; read alone."""
    made = Workspace(tmp_path_factory.mktemp("study"))
    made.store.mkdir(parents=True)
    make_store(made.store, given=True)
    make_folds(made)
    run_summary(PARAMS, made)
    return made


def _balanced(scores: np.ndarray, labels: np.ndarray) -> float:
    cells = scores.reshape(-1, *scores.shape[-2:])
    return float(np.mean([balanced_accuracy_score(labels, cell.argmax(axis=1)) for cell in cells]))


def _saved(workspace: Workspace) -> list[dict[str, np.ndarray]]:
    found = []
    for fold in all_folds(PARAMS.study):
        with np.load(workspace.fold(str(fold)) / ANSWERS) as saved:
            found.append({name: saved[name] for name in saved.files})
    return found


def test_the_figures_are_those_of_the_folds(workspace: Workspace) -> None:
    study = json.loads(workspace.metrics("study").read_text(encoding="utf-8"))
    gains = []
    for saved in _saved(workspace):
        base = saved[f"scores_{saved['baseline']}"]
        gains.append(_balanced(saved["scores_synthetic"], saved["labels"]) - _balanced(base, saved["labels"]))
    assert [row["gain"] for row in study["by_fold"]] == pytest.approx(gains, abs=2e-6)
    assert study["delta"] == pytest.approx(np.mean(gains), abs=2e-6)
    assert study["verdict"] == "HELPS" and study["ci95"][0] > 0.02
    scale = np.std(gains, ddof=1) * np.sqrt(1 / 8 + 1 / 3)  # 8 folds of 2 repeats, a quarter tested, three left
    half = stats.t.ppf(0.975, 7) * scale
    assert study["corrected_t_ci95"] == pytest.approx([np.mean(gains) - half, np.mean(gains) + half], abs=2e-4)
    assert study["chances"]["gain"] == pytest.approx(stats.t.sf((0.01 - np.mean(gains)) / scale, 7), abs=1e-4)
    assert 0 < study["smallest_effect"] < 0.2
    assert {row["against"] for row in study["comparisons"]} <= set(study["arms"]) == set(ARMS)
    assert [study["arms"][name]["baseline_in_folds"] for name in ("control", "mixed", "real")] == [4, 4, 0]


def test_second_endpoints_are_means_over_rare_classes_and_folds(workspace: Workspace) -> None:
    study = json.loads(workspace.metrics("study").read_text(encoding="utf-8"))
    rows = {row["name"]: row for row in study["second_endpoints"]}
    assert study["rare_classes"] == ["dent", "crack"]  # below 50 train images
    expected = []
    for saved in _saved(workspace):
        for scores in saved["scores_synthetic"].reshape(-1, *saved["scores_synthetic"].shape[-2:]):
            sure = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
            expected.append(np.mean([average_precision_score(saved["labels"] == k, sure[:, k]) for k in (1, 2)]))
    # folds have equally many classifiers
    by_fold = np.array(expected).reshape(8, -1).mean(axis=1)
    assert rows["rare_average_precision"]["synthetic"] == pytest.approx(by_fold.mean(), abs=1e-6)
    assert rows["brier"]["gain"] > 0 and rows["brier"]["synthetic"] < rows["brier"]["baseline"]  # lower is better
    adjusted = [row["p_holm"] for row in study["second_endpoints"]]
    assert all(after >= row["p"] for after, row in zip(adjusted, study["second_endpoints"], strict=True))
    assert min(adjusted) == pytest.approx(min(1.0, 5 * min(row["p"] for row in study["second_endpoints"])), abs=1e-5)


def test_the_exact_bound_counts_groups_by_the_answers_of_one_classifier(workspace: Workspace) -> None:
    study = json.loads(workspace.metrics("study").read_text(encoding="utf-8"))
    ok, dent, crack = study["per_class"]
    assert (ok["images"], dent["images"], crack["images"]) == (90, 60, 24)
    assert ok["right_of"]["synthetic"][1] == 75  # 30 of the 90 are 15 pairs
    assert dent["right_of"]["synthetic"][1] == 60
    hits = 0
    for fold, saved in zip(all_folds(PARAMS.study), _saved(workspace), strict=True):
        if fold.repeat == 0:
            told = saved["scores_synthetic"][0, 0].argmax(axis=1)
            hits += int(((told == 2) & (saved["labels"] == 2)).sum())
    assert crack["right_of"]["synthetic"] == [hits, 24]
    bound = stats.binomtest(hits, 24, alternative="greater").proportion_ci(0.95, "exact").low
    assert crack["at_least"]["synthetic"] == pytest.approx(bound, abs=1e-6)


def test_what_limits_the_study_is_said(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    study = summarise(PARAMS, workspace)
    said = " ".join(study["warnings"])
    assert "a gate failed in fold 0-3, 1-3" in said
    assert "gives its own splits (train, test); the study joins them" in said
    assert "not those that were named" not in said
    other = Params(study=PARAMS.study, classify=ClassifyParams(bootstrap=200, metric="recall:crack@5%"))
    found = summarise(other, workspace)
    assert found["endpoint"]["title"] == "recall of 'crack' at 0.05 false alarms"
    assert "not those that were named before" in " ".join(found["warnings"])
    assert found["ci95"][0] < found["delta"] < found["ci95"][1]
    assert found["second_endpoints"][0]["name"] == "balanced_accuracy"


def test_without_a_difference_it_says_what_it_could_have_seen(tmp_path: Path) -> None:
    made = Workspace(tmp_path)
    made.store.mkdir(parents=True)
    make_store(made.store)
    make_folds(made, gain=0.1)
    study = summarise(PARAMS, made)
    assert study["verdict"] == "INCONCLUSIVE"
    assert study["ci95"][0] < 0 < study["ci95"][1]
    assert f"would have seen {100 * study['smallest_effect']:.1f} points" in study["sentence"]
    (made.fold("0-2") / ANSWERS).unlink()
    with pytest.raises(UserError, match=r"0-2/answers\.npz: not there; run `augmint study`"):
        summarise(PARAMS, made)
    (made.fold("0-2") / ANSWERS).write_bytes(b"PK")
    with pytest.raises(UserError, match=r"answers\.npz: damaged"):
        summarise(PARAMS, made)


def test_the_plan_names_all_endpoints_and_is_the_same_each_time(workspace: Workspace) -> None:
    store = Store.open(workspace.store)
    write_plan(PARAMS, workspace, store)
    first = (workspace.study / "plan.json").read_bytes()
    write_plan(PARAMS, workspace, store)
    assert (workspace.study / "plan.json").read_bytes() == first
    plan = json.loads(first)
    assert plan["endpoint"]["name"] == "balanced_accuracy"
    assert [row["name"] for row in plan["second_endpoints"]] == [
        *("rare_recall@0.01", "rare_recall@0.05", "rare_average_precision", "brier", "worst_class_recall"),
    ]
    assert plan["rare_classes"] == ["dent", "crack"]


def test_images_in_a_folder_that_the_study_writes_are_refused(workspace: Workspace) -> None:
    source = PARAMS.data.model_copy(update={"source": "folder", "path": "study/images"})
    with pytest.raises(UserError, match=r"data\.path: study/images holds .*study, which a study writes"):
        examine(PARAMS.model_copy(update={"data": source, "study": StudyParams()}), workspace)
