"""``check``: what is knowable before anything is trained, all at once, each with its remedy.

``augmint check`` prints it. ``ingest`` looks at it before it reads and after it has written the store, and ``train``
before its first step, so that nobody waits for minutes for an end that was known from the start.
"""

import sys
from collections.abc import Iterator

from pipeline.checks.after import (
    classes_are_exportable,
    doses_are_possible,
    metric_is_possible,
    splits_are_large_enough,
)
from pipeline.checks.before import classifier_is_there, devices, measured_gates, origin_fits, overlaps, source_is_there
from pipeline.checks.dvc import named_keys
from pipeline.checks.finding import Finding, Part, has_store
from pipeline.errors import BusyError, UserError
from pipeline.params import Params
from pipeline.workspace import Workspace

BEFORE_INGEST: tuple[Part, ...] = (overlaps, named_keys, devices, measured_gates, classifier_is_there, origin_fits)
AFTER_INGEST: tuple[Part, ...] = (
    classes_are_exportable,
    splits_are_large_enough,
    doses_are_possible,
    metric_is_possible,
)


def run(params: Params, workspace: Workspace) -> None:
    """Prints every finding.

    Raises:
        UserError: one of them would end a stage.
    """
    found = list(findings(params, workspace))
    for finding in found:
        print(finding, file=sys.stderr)
    fatal = [finding for finding in found if finding.fatal]
    if fatal:
        raise _kind(fatal)(f"{len(fatal)} of these will end a stage; mend them first")
    known = "" if has_store(workspace) else "; what hangs on the images is known after `dvc repro ingest`"
    print(f"check: nothing stands in the way{known}")


def require(params: Params, workspace: Workspace, parts: tuple[Part, ...]) -> None:
    """Prints what weakens a later stage.

    Raises:
        UserError: something would end one; all of it at once.
    """
    found = [finding for part in parts for finding in part(params, workspace)]
    for finding in found:
        if not finding.fatal:
            print(finding, file=sys.stderr)
    if fatal := [finding for finding in found if finding.fatal]:
        raise _kind(fatal)("\n".join(map(str, fatal)))


def advise(params: Params, workspace: Workspace) -> None:
    """Prints what the ingested images mean for later stages; ``train`` stops at what is fatal."""
    for part in AFTER_INGEST:
        for finding in part(params, workspace):
            print(finding, file=sys.stderr)


def findings(params: Params, workspace: Workspace) -> Iterator[Finding]:
    """Everything that is knowable now; what hangs on the images only once they are ingested."""
    for part in (source_is_there, *BEFORE_INGEST, *(AFTER_INGEST if has_store(workspace) else ())):
        yield from part(params, workspace)


def _kind(fatal: list[Finding]) -> type[UserError]:
    return BusyError if all(finding.passes for finding in fatal) else UserError
