"""The study beside the single split: in ``metrics/utility.json`` and in the report."""

from pipeline.atomic import replacing
from pipeline.binding import read_figures, write_figures
from pipeline.params import Params
from pipeline.report import page
from pipeline.report.study import study_shown
from pipeline.workspace import Workspace


def rewrite(params: Params, workspace: Workspace) -> bool:
    """Puts the study into the finished verdict and its report; False if it is there already.

    Raises:
        UserError: the figures of either were edited.
    """
    utility = read_figures(workspace, "utility")
    plain = {key: value for key, value in utility.items() if key not in ("study", "made_from", "checksum")}
    wanted = plain | study_shown(workspace)
    if wanted.get("study") == utility.get("study"):
        return False
    with replacing(workspace.metrics("utility"), workspace.report) as (figures, report):
        write_figures(figures, wanted, utility["made_from"])
        page.write(params, workspace, report / "index.html", {"metrics/utility.json": figures})
    return True
