"""The study beside the single split: in ``metrics/utility.json`` and in the report."""

import os
from typing import Any

from pipeline.atomic import replacing
from pipeline.binding import as_now, changed, read_figures, write_figures
from pipeline.params import Params
from pipeline.report import page
from pipeline.workspace import Workspace

SHOWN = (
    *("verdict", "sentence", "endpoint", "folds", "repeats", "images", "delta", "ci95", "smallest_effect"),
    *("chances", "second_endpoints"),
)


def shown(workspace: Workspace) -> dict[str, Any]:
    """What ``metrics/utility.json`` says of the study: nothing where there is none of the files as they are."""
    if not os.path.lexists(workspace.metrics("study")):
        return {}
    study = read_figures(workspace, "study")
    return {} if changed(study, as_now(workspace, study)) else {"study": {key: study[key] for key in SHOWN}}


def rewrite(params: Params, workspace: Workspace) -> bool:
    """Puts the study into the finished verdict and its report; False if it is there already.

    Raises:
        UserError: the figures of either were edited.
    """
    utility = read_figures(workspace, "utility")
    plain = {key: value for key, value in utility.items() if key not in ("study", "made_from", "checksum")}
    wanted = plain | shown(workspace)
    if wanted.get("study") == utility.get("study"):
        return False
    with replacing(workspace.metrics("utility"), workspace.report) as (figures, report):
        write_figures(figures, wanted, utility["made_from"])
        page.write(params, workspace, report / "index.html", {"metrics/utility.json": figures})
    return True
