"""Schedules that cannot be are refused before a server is started; those that can are told with their next times."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.cli import main
from pipeline.errors import UserError
from pipeline.flows import serving
from pipeline.flows.timing import announced, check_cron, check_project, check_timezone, next_firings

PROJECT = """
definitions:
  zone: &zone {timezone}
deployments:
  - name: "{{{{ project.name }}}}"
    entrypoint: pipeline.flows.refresh.refresh
    schedules:
      - cron: "{cron}"
        timezone: *zone
"""


@pytest.fixture(autouse=True)
def _in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    "cron", ["0 3 * * *", "*/5 * * * 1-5", "0 3 * * MON-FRI", "0 3 1,15 * *", "@daily", " 0 3 * * * "]
)
def test_what_prefect_takes_is_taken(cron: str) -> None:
    check_cron(cron, "--cron")


@pytest.mark.parametrize(
    ("cron", "says"),
    [
        ("0 0 3 * * *", "has 6 fields"),
        ("0 3 * *", "has 4 fields"),
        ("", "has 0 fields"),
        ("daily", "has 1 fields"),
        ("61 * * * *", "no cron expression"),
        ("0 3 * * 8", "no cron expression"),
        ("*/0 * * * *", "no cron expression"),
        ("H 3 * * *", "no cron expression"),
        ("@never", "no cron expression"),
        ("0 0 31 2 *", "never fires"),
    ],
)
def test_a_wrong_cron_is_one_sentence(cron: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as refused:
        check_cron(cron, "--cron")
    assert str(refused.value).startswith(f'--cron: "{cron}"')
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("timezone", "says"),
    [
        ("Berlin", "did you mean Europe/Berlin"),
        ("europe/berlin", "did you mean Europe/Berlin"),
        ("Europe/Berlni", "did you mean Europe/Berlin"),
        ("New York", "did you mean America/New_York"),
        ("Mars/Phobos", "such as"),
        ("", "such as"),
        ("../../etc/passwd", "such as"),
        ("+01:00", "such as"),
    ],
)
def test_a_wrong_time_zone_is_one_sentence_with_a_right_one(timezone: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        check_timezone(timezone, "--timezone")
    check_timezone("Europe/Berlin", "--timezone")


def test_the_next_times_are_this_machines_and_follow_the_wall_clock_of_the_zone() -> None:
    # Berlin's clocks go back on 25 October 2026: three in the morning is 01:00 UTC before, and 02:00 UTC after
    before = datetime(2026, 10, 23, 12, tzinfo=UTC)
    assert next_firings("0 3 * * *", "Europe/Berlin", before) == (
        "Sat 2026-10-24 01:00 UTC, Sun 2026-10-25 02:00 UTC, Mon 2026-10-26 02:00 UTC"
    )


def test_schedules_of_prefect_yaml_are_checked_with_their_line(tmp_path: Path) -> None:
    check_project(tmp_path)  # there is none
    file = tmp_path / "prefect.yaml"
    file.write_text(PROJECT.format(cron="0 3 * * *", timezone="UTC"))
    check_project(tmp_path)
    assert [line.partition(":")[0] for line in announced(tmp_path)] == ["refresh"]
    for cron, timezone, says in (("0 0 3 * * *", "UTC", "6 fields"), ("0 3 * * *", "Berlin", "Europe/Berlin")):
        file.write_text(PROJECT.format(cron=cron, timezone=timezone))
        with pytest.raises(UserError, match=says) as refused:
            check_project(tmp_path)
        assert str(refused.value).startswith(f"{file}:8: refresh: ")
    file.write_text(PROJECT.format(cron="{{ $CRON }}", timezone="UTC"))  # Prefect's own templates are left to it
    check_project(tmp_path)
    assert list(announced(tmp_path)) == []
    file.write_text("deployments: [")
    with pytest.raises(UserError, match="cannot be read"):
        check_project(tmp_path)


@pytest.mark.parametrize("options", [["--cron", "0 0 3 * * *"], ["--cron", "0 3 * * *", "--timezone", "Berlin"]])
def test_nothing_is_started_for_a_wrong_schedule(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(serving, "PRIVATE", {})
    done = CliRunner().invoke(main, ["serve", *options])
    assert done.exit_code == 2
    assert done.output.startswith("augmint: --") and done.output.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
