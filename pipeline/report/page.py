"""The report: one HTML page that holds its pictures and styles, needs no network and runs no script."""

from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline.escaping import terminal
from pipeline.params import Params
from pipeline.provenance import version
from pipeline.report import parts, wording
from pipeline.report.curves import plot_curves
from pipeline.report.files import PageFiles
from pipeline.report.quality import quality
from pipeline.workspace import Workspace

PICTURES = (
    ("plots/evaluate/grid.png", "Real images that the generator never saw, and synthetic ones, class by class."),
    (
        "plots/evaluate/extremes.png",
        "The synthetic images that lie deepest among unseen real ones, and those furthest from any.",
    ),
    (
        "plots/evaluate/nearest.png",
        "The synthetic images that lie nearest to a training image, each beside that image.",
    ),
    (
        "plots/evaluate/interpolation.png",
        "From one random latent to another: a generator that has learnt its images by heart jumps, others glide.",
    ),
    ("plots/train/samples.png", "Draws of the generator that ships, class by class; of several, of the first one."),
)
BIAS_PICTURES = (
    ("plots/evaluate/confusion.png", "What an independent classifier sees in synthetic and in unseen real images."),
    ("plots/evaluate/spectrum.png", "Power by spatial frequency, from coarse shapes to the finest detail."),
)
VERDICT_PICTURES = (
    ("plots/classify/arms.png", "Balanced accuracy of every classifier, by arm."),
    ("plots/classify/dose.png", "What each dose of synthetic images does on the validation split."),
)
CURVES = ("plots/train/curves.csv", "How the training went, a line a generator.")


def write(params: Params, workspace: Workspace, target: Path, unmoved: Mapping[str, Path] | None = None) -> None:
    """Writes the page from what the stages have left: ``metrics/``, ``plots/``, the cards and the manifest.

    A part whose source is missing or damaged is left out, and named at the end of the page.

    Args:
        target: the HTML file; its folder is made if need be.
        unmoved: where files and folders lie, by name, that are not in the workspace yet.
    """
    files = PageFiles(workspace, unmoved or {})
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    names = ("percent", "points", "number", "count", "setting", "between")
    environment.filters |= {name: getattr(wording, name) for name in names}
    page = environment.get_template("page.html.j2").render(
        utility=files.part("metrics/utility.json", parts.utility),
        quality=files.part("metrics/quality.json", quality),
        data=files.part("data/store/summary.json", lambda tree: parts.data(tree, files)),
        per_class=parts.per_class(files),
        verdict_pictures=files.pictures(VERDICT_PICTURES),
        pictures=files.pictures(PICTURES),
        bias_pictures=files.pictures(BIAS_PICTURES),
        curves=files.picture(*CURVES, read=plot_curves),
        generator=files.part("models/generator.json", parts.generator),
        training=files.part("metrics/train.json", lambda tree: parts.training(tree, params.train)),
        export=files.part("metrics/export.json", parts.export),
        params=params.model_dump(mode="json"),
        version=version(),
        missing=files.missing,
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page, encoding="utf-8")


def _shown(value: object) -> object:
    """Plain text without characters that cannot be seen, or that turn what stands beside them."""
    return value if not isinstance(value, str) or isinstance(value, Markup) else terminal(value, keep="\n")
