"""What a run leaves in Prefect's UI: a report with its pictures, figures beside those of the last run, and links."""

import base64
import io
import json
from pathlib import Path

from PIL import Image
from prefect.artifacts import Artifact, create_link_artifact, create_markdown_artifact, create_table_artifact
from prefect.client.schemas.objects import Artifact as StoredArtifact

from pipeline.binding import read_figures
from pipeline.errors import UserError
from pipeline.escaping import code, markdown
from pipeline.flows.figures import Figures, rows
from pipeline.flows.names import artifact_key
from pipeline.flows.summary import Link, report
from pipeline.reading.documents import again
from pipeline.workspace import Workspace

# pixels and bytes of a picture: it lies in Prefect's database
THUMBNAIL, LARGE = (700, 60_000), (1200, 250_000)
SCALES = (1.0, 0.7, 0.5, 0.35)  # of a JPEG, the first that is small enough; even of noise the last one is


def last_figures(project: Path) -> Figures:
    """Those that the last run published; none before the first."""
    artifact = Artifact.get(artifact_key(project, "metrics"))
    content = artifact.data if isinstance(artifact, StoredArtifact) else None
    try:
        found = json.loads(content) if isinstance(content, str) else []
        return {row["figure"]: row["value"] for row in found}
    except (ValueError, KeyError, TypeError, RecursionError):  # of another version, or of somebody else
        return {}


def publish(project: Path, figures: Figures, last: Figures, base_url: str) -> None:
    """Makes all artifacts of a run for which there is something to show, the report first.

    Args:
        project: the folder.
        figures: what :func:`pipeline.flows.figures.read` finds now.
        last: what :func:`last_figures` found.
        base_url: where the folder is served, for the links; empty for its place on this machine.
    """
    workspace = Workspace(project.resolve())
    utility = read_figures(workspace, "utility") if workspace.metrics("utility").exists() else None
    nearest = ("evaluate", "nearest", "Nearest neighbours in train")
    thumbnails = _pictures(workspace, THUMBNAIL, ("train", "samples", "Samples"), nearest)
    text = report(utility, figures, last, thumbnails, _links(workspace, base_url))
    create_markdown_artifact(text, artifact_key(project, "report"), f"Report of {markdown(workspace.root.name)}")
    table = rows(figures, last)
    create_table_artifact(table, artifact_key(project, "metrics"), "Figures, and their change since the last run")
    # an image artifact would show its address too, which is the picture in letters
    if shown := _pictures(
        workspace, LARGE, ("evaluate", "grid", "Real beside synthetic"), ("classify", "arms", "Classifiers")
    ):
        pictures = "\n\n".join(f"**{title}**\n\n![{title}]({address})" for title, address in shown.items())
        create_markdown_artifact(pictures, artifact_key(project, "pictures"), " and ".join(shown))


def publish_set(project: Path, place: Path, base_url: str) -> None:
    """Makes the link to a set that was written to ``place``."""
    address = _address(place, Workspace(project.resolve()), base_url)
    create_link_artifact(address, markdown(place.name), artifact_key(project, "set"), code(str(place)))


def data_url(picture: Path, side: int, most: int) -> str:
    """The picture, made small, as an address that holds it.

    Args:
        side: its longer side in pixels, at most.
        most: its bytes, at most.

    Raises:
        UserError: it is none that a stage wrote.
    """
    try:
        with Image.open(picture, formats=("PNG",)) as image:
            image.thumbnail((side, side))
            kind, content = "png", _encoded(image, "PNG", optimize=True)
            for scale in SCALES:
                if len(content) <= most:
                    break
                image.thumbnail((round(side * scale), round(side * scale)))
                kind, content = "jpeg", _encoded(image.convert("RGB"), "JPEG", quality=80)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"{picture}: no picture that can be read ({error}); {again(picture.parent.name)}") from None
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _pictures(workspace: Workspace, size: tuple[int, int], *wanted: tuple[str, str, str]) -> dict[str, str]:
    """Addresses that hold a picture each, by title: of ``wanted`` (stage, picture and title) those that there are."""
    places = {title: workspace.plots(stage) / f"{name}.png" for stage, name, title in wanted}
    return {title: data_url(place, *size) for title, place in places.items() if place.is_file()}


def _encoded(image: Image.Image, kind: str, **options: int) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _links(workspace: Workspace, base_url: str) -> list[Link]:
    places = ((workspace.report / "index.html", "Report"), (workspace.synthetic, "Exported set"))
    return [Link(title, _address(place, workspace, base_url), str(place)) for place, title in places if place.exists()]


def _address(place: Path, workspace: Workspace, base_url: str) -> str:
    if base_url and place.is_relative_to(workspace.root):
        return f"{base_url.rstrip('/')}/{place.relative_to(workspace.root).as_posix()}"
    return place.as_uri()
