"""The study beside the single split: on the page, on the terminal, in ``metrics/utility.json``."""

import json
from pathlib import Path

import pytest

from pipeline.binding import read_figures, write_figures
from pipeline.errors import UserError
from pipeline.params import Params
from pipeline.report.terminal.results import as_tree, print_results
from pipeline.report.wording import MINUS, NONE
from pipeline.study.showing import rewrite
from tests.pipeline.report.made_project import HOSTILE, Page, make, rows_of, study, written


def test_the_page_shows_both(tmp_path: Path) -> None:
    page = Page(written(make(tmp_path)))
    said = " ".join(page.text.split())
    assert f"INCONCLUSIVE: No verdict over all folds, says {HOSTILE}." in said
    assert "The experiment again in 5 folds, 2 times: each of 124 images was a test image once a repeat" in said
    assert "1.4 points that the study would have found in four cases of five; the single split: 2.4" in said
    assert "12 % its chance, by the correlated Bayesian t-test" in said
    assert page.row("balanced accuracy")[3:] == ["+0.4", f"{MINUS}0.6 to +1.5", NONE]
    assert page.row("Brier score")[1:] == ["31.0", "25.0", "+6.0", "+1.0 to +11.0", "0.040"]
    (by_class,) = [row for row in rows_of(page, 9) if row[0] == HOSTILE and "29 of 29" in row]
    assert by_class[1:] == ["118", "50.0", "75.0", "+25.0", "29 of 29", "90.2", "28 of 29", "84.7"]
    assert page.row("1-3")[1:] == ["80", "25", "91.0", "control (copies)", NONE, NONE, "kid"]
    assert "single split: difference +1.25 points" in " ".join(page.drawn)


def test_without_a_study_the_page_misses_nothing(tmp_path: Path) -> None:
    workspace = make(tmp_path)
    workspace.metrics("study").unlink()
    text = written(workspace)
    assert "The study" not in text and "metrics/study.json" not in text
    write_figures(workspace.metrics("study"), {"verdict": "HELPS", "sentence": "It helps."})
    assert "metrics/study.json</code>: lacks" in written(workspace)


def test_results_print_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = make(tmp_path)
    print_results(workspace)
    said = " ".join(capsys.readouterr().out.split())
    assert "Study of 124 images in 5 folds, 2 times" in said
    assert "smallest effect that the study could have seen: 1.4 points; the single split: 2.4" in said
    assert as_tree(workspace)["figures"]["study"]["delta"] == 0.0042


def test_a_finished_verdict_and_its_report_take_the_study_in_once(tmp_path: Path) -> None:
    workspace = make(tmp_path)
    before = read_figures(workspace, "utility")
    assert rewrite(Params(), workspace)
    after = read_figures(workspace, "utility")  # its checksum is right
    assert after["study"]["delta"] == 0.0042 and after["study"]["smallest_effect"] == 0.0137
    assert {key: after[key] for key in before if key != "checksum"} == {
        key: value for key, value in before.items() if key != "checksum"
    }
    assert "The study: every image tested" in (workspace.report / "index.html").read_text(encoding="utf-8")
    assert not rewrite(Params(), workspace)
    content = json.loads(workspace.metrics("study").read_text(encoding="utf-8"))
    workspace.metrics("study").write_text(json.dumps(content | {"delta": 0.5}), encoding="utf-8")
    with pytest.raises(UserError, match=r"metrics/study\.json: edited"):
        rewrite(Params(), workspace)
    assert study()["delta"] == 0.0042
