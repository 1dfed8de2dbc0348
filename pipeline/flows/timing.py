"""Schedules, looked at before a server is started for them."""

import difflib
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from pipeline.errors import UserError
from pipeline.flows import prefect_yaml

FIELDS = 5
SHOWN = 3  # firings
UNSUPPORTED = ("h", "r")  # the parser's words for "at any time", which Prefect refuses


def check_cron(cron: str, where: str) -> None:
    """Whether Prefect takes ``cron``: five fields, or a word such as ``@daily``; ``where`` names its place.

    Raises:
        UserError: it does not, or it would never fire.
    """
    fields = cron.split()
    if len(fields) != FIELDS and not cron.strip().startswith("@"):
        form = "minute, hour, day of the month, month and day of the week"
        raise UserError(f'{where}: "{cron}" has {len(fields)} fields; write {FIELDS}: {form}, such as "0 3 * * *"')
    try:
        if any(field.casefold() in UNSUPPORTED for field in fields):
            raise ValueError(cron)
        next(_times(cron, ZoneInfo("UTC")))
    except (ValueError, StopIteration) as error:
        reason = "it never fires" if "failed to find next date" in str(error) else "no cron expression"
        raise UserError(f'{where}: "{cron}": {reason}; write one such as "0 3 * * *", daily at three') from None


def check_timezone(timezone: str, where: str) -> None:
    """Whether there is such a time zone.

    Raises:
        UserError: there is none.
    """
    known = available_timezones()
    if timezone in known:
        return
    wanted = timezone.strip().lower().replace(" ", "_")
    same = [zone for zone in sorted(known) if wanted and wanted in (zone.lower(), zone.lower().rpartition("/")[2])]
    near = same[:1] or difflib.get_close_matches(timezone, known, 1)
    advice = f"did you mean {near[0]}?" if near else "write one such as Europe/Berlin or UTC"
    raise UserError(f'{where}: "{timezone}" is no time zone; {advice}')


def check_project(project: Path) -> None:
    """Checks every schedule in the project's prefect.yaml.

    Raises:
        UserError: one that Prefect would not take, with its line.
    """
    for flow, line, schedule in prefect_yaml.schedules(prefect_yaml.read_project(project)):
        where = f"{project / prefect_yaml.FILE}:{line}: {flow}"
        if "cron" in schedule and not _is_template(schedule["cron"]):
            check_cron(str(schedule["cron"]), f"{where}: cron")
        if schedule.get("timezone") is not None and not _is_template(schedule["timezone"]):
            check_timezone(str(schedule["timezone"]), f"{where}: timezone")


def next_firings(cron: str, timezone: str, now: datetime | None = None) -> str:
    """The first three from ``now`` on, in this machine's time."""
    times = islice(_times(cron, ZoneInfo(timezone), now), SHOWN)
    return ", ".join(f"{time.astimezone():%a %Y-%m-%d %H:%M %Z}" for time in times)


def announced(project: Path) -> Iterator[str]:
    """A line for each cron schedule of the project's prefect.yaml."""
    for flow, _, schedule in prefect_yaml.schedules(prefect_yaml.read_project(project)):
        cron, timezone = schedule.get("cron"), schedule.get("timezone") or "UTC"
        if cron and schedule.get("active", True) and not _is_template(f"{cron}{timezone}"):
            yield f"{flow}: {next_firings(str(cron), str(timezone))}"


def _times(cron: str, zone: ZoneInfo, now: datetime | None = None) -> Iterator[datetime]:
    """As Prefect's scheduler has them: by the clock on the wall, so that a change of the clocks moves none."""
    wall = _parser().croniter(cron, (now or datetime.now(UTC)).astimezone(zone).replace(tzinfo=None))
    while True:
        yield wall.get_next(datetime).replace(tzinfo=zone)


@cache
def _parser() -> ModuleType:
    """The cron parser that Prefect's scheduler uses, without the rest of Prefect, whose import takes seconds."""
    prefect = find_spec("prefect")
    assert prefect is not None
    assert prefect.submodule_search_locations
    spec = PathFinder.find_spec("croniter", [f"{prefect.submodule_search_locations[0]}/_vendor"])
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = module_from_spec(spec)  # its parts look for it there
    spec.loader.exec_module(module)
    return module


def _is_template(value: Any) -> bool:
    return "{{" in str(value)  # Prefect fills it in
