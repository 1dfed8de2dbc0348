"""Progress: plain lines where there is no terminal."""

import pytest

import pipeline.progress
from pipeline.progress import CHANNEL, Report, track


def test_lines_say_what_how_far_and_how_fast(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(pipeline.progress, "SECONDS_BETWEEN_LINES", 0.0)
    with track(100, "train", "images", start=20) as progress:
        progress.advance(30, "penalty 0.1")
        progress.say("a word between")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("train: 50/100 images, ")
    assert lines[0].endswith("penalty 0.1")
    assert " s left" in lines[0]
    assert lines[1] == "a word between"
    assert lines[2].startswith("train: 50/100 images")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.01, ", 100/s"), (0.4, ", 2.5/s"), (1.0, ", 1/s"), (8.76, ", 8.8 s each"), (75.2, ", 75 s each")],
)
def test_what_takes_more_than_a_second_is_told_in_seconds(
    seconds: float, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    clock = iter([0.0, 7 * seconds, 7 * seconds])
    monkeypatch.setattr(pipeline.progress.time, "monotonic", lambda: next(clock))
    with track(89, "classify", "classifiers") as progress:
        progress.done = 7
    assert f"7/89 classifiers{said}, " in capsys.readouterr().err


def test_lines_are_rare(capsys: pytest.CaptureFixture) -> None:
    with track(1000, "ingest", "images") as progress:
        for _ in range(1000):
            progress.advance()
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_an_interruption_still_ends_the_line(capsys: pytest.CaptureFixture) -> None:
    def work() -> None:
        with track(10, "export", "images") as progress:
            progress.advance(3)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert "export: 3/10" in capsys.readouterr().err


def test_a_program_gets_reports_that_it_can_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv(CHANNEL, "json")
    monkeypatch.setattr(pipeline.progress, "SECONDS_BETWEEN_REPORTS", 0.0)
    with track(100, "train", "images") as progress:
        progress.advance(30, 'a "note"')
        progress.say("a word between")
    first, word, last = capsys.readouterr().err.splitlines()
    report = Report.loads(first)
    assert report is not None
    assert report[:4] == ("train", 30, 100, "images")
    assert report.line.startswith("train: 30/100 images, ")
    assert report.line.endswith('a "note"')
    assert (word, Report.loads(word)) == ("a word between", None)
    assert Report.loads(last) is not None
