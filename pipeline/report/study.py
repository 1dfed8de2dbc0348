"""What ``metrics/utility.json`` says of a finished study."""

import os
from typing import Any

from pipeline.binding import as_now, changed, read_figures
from pipeline.workspace import Workspace

SHOWN = (
    *("verdict", "sentence", "endpoint", "folds", "repeats", "images", "delta", "ci95", "smallest_effect"),
    *("chances", "second_endpoints"),
)


def study_shown(workspace: Workspace) -> dict[str, Any]:
    """What ``metrics/utility.json`` says of the study: nothing where there is none of the files as they are."""
    if not os.path.lexists(workspace.metrics("study")):
        return {}
    study = read_figures(workspace, "study")
    return {} if changed(study, as_now(workspace, study)) else {"study": {key: study[key] for key in SHOWN}}
