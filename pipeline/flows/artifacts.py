"""What a run leaves in Prefect's UI: figures beside those of the last run, pictures, the verdict, and links."""

import base64
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image
from prefect.artifacts import (
    Artifact,
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)
from prefect.client.schemas.objects import Artifact as StoredArtifact

from pipeline.binding import read_figures
from pipeline.errors import UserError
from pipeline.escaping import code, markdown
from pipeline.experiment.names import in_order
from pipeline.flows.names import artifact_key
from pipeline.reading.documents import again
from pipeline.workspace import Workspace

METRICS = ("ingest", "train", "quality", "utility")
SIDE, BYTES = 1200, 400_000  # of a picture: it lies in Prefect's database

LONGEST = 40  # characters of a value: hashes and sentences would push the columns out of sight

Figures = dict[str, Any]


def read(workspace: Workspace) -> Figures:
    """Every single figure of ``metrics/*.json`` by its dotted name; lists, such as per class, are in the report.

    Prefect renders texts in tables as Markdown, so names and values are such that show as they are.

    Raises:
        UserError: figures were edited.
    """
    figures: Figures = {}
    for name in METRICS:
        if os.path.lexists(workspace.metrics(name)):
            figures |= dict(_flat(read_figures(workspace, name), name))
    return figures


def last_figures(project: Path) -> Figures:
    """Those that the last run published; none before the first."""
    artifact = Artifact.get(artifact_key(project, "metrics"))
    content = artifact.data if isinstance(artifact, StoredArtifact) else None
    try:
        rows = json.loads(content) if isinstance(content, str) else []
        return {row["figure"]: row["value"] for row in rows}
    except (ValueError, KeyError, TypeError, RecursionError):  # of another version, or of somebody else
        return {}


def publish(project: Path, figures: Figures, last: Figures, base_url: str) -> None:
    """Makes all artifacts of a run for which there is something to show.

    Args:
        project: the folder.
        figures: what :func:`read` finds now.
        last: what :func:`last_figures` found.
        base_url: where the folder is served, for the links; empty for its place on this machine.
    """
    workspace = Workspace(project.resolve())
    rows = [_row(name, value, last) for name, value in figures.items()]
    create_table_artifact(rows, artifact_key(project, "metrics"), "Every figure, and its change since the last run")
    for picture, title in (
        (workspace.plots("train") / "samples.png", "Samples"),
        (workspace.plots("evaluate") / "grid.png", "Real beside synthetic"),
        (workspace.plots("evaluate") / "nearest.png", "Nearest neighbours"),
        (workspace.plots("classify") / "arms.png", "Classifiers"),
    ):
        if picture.is_file():
            create_image_artifact(_data_url(picture), artifact_key(project, picture.stem), title)
    for place, title in ((workspace.report / "index.html", "Report"), (workspace.synthetic, "Exported set")):
        if place.exists():
            create_link_artifact(_link(place, workspace, base_url), place.name, artifact_key(project, title), title)
    if workspace.metrics("utility").exists():
        utility = read_figures(workspace, "utility")
        text = verdict(utility, last.get("utility.verdict"), workspace, base_url)
        create_markdown_artifact(text, artifact_key(project, "verdict"), utility["verdict"])


def publish_set(project: Path, place: Path, base_url: str) -> None:
    """Makes the link to a set that was written to ``place``."""
    link = _link(place, Workspace(project.resolve()), base_url)
    create_link_artifact(link, markdown(place.name), artifact_key(project, "set"), code(str(place)))


def verdict(utility: dict[str, Any], before: str | None, workspace: Workspace, base_url: str) -> str:
    """The verdict in Markdown.

    Args:
        utility: the content of ``metrics/utility.json``.
        before: the last run's verdict, if there was one.
        workspace: where the report and the set lie.
        base_url: see :func:`publish`.
    """
    changed = f" (was {before})" if before not in (None, utility["verdict"]) else ""
    arms = [
        f"| {markdown(arm['title'])}{' *' if name == utility['baseline'] else ''} | {arm['validation']:.1%} "
        f"| {arm['balanced_accuracy']:.1%} |"
        for name, arm in in_order(utility["arms"])
    ]
    return "\n".join(
        [
            f"# {utility['verdict']}{changed}",
            "",
            markdown(utility["sentence"]),
            "",
            "| arm | validation | test |",
            "| --- | ---: | ---: |",
            *arms,
            "",
            "Balanced accuracy; * the baseline, by validation.",
            "",
            *[f"- {markdown(warning)}" for warning in utility["warnings"]],
            "",
            f"[Report]({_link(workspace.report / 'index.html', workspace, base_url)}): {code(str(workspace.report))}",
            f"[Exported set]({_link(workspace.synthetic, workspace, base_url)}): {code(str(workspace.synthetic))}",
        ]
    )


def _flat(tree: dict[str, Any], name: str) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        where = f"{name}.{markdown(key)}"
        if isinstance(value, dict):
            yield from _flat(value, where)
        elif not isinstance(value, list) and len(str(value)) <= LONGEST:
            yield where, markdown(value) if isinstance(value, str) else value


def _row(name: str, value: Any, last: Figures) -> dict[str, Any]:
    before = last.get(name)
    change: Any = "" if value == before or name not in last else "changed"
    if change and isinstance(value, int | float) and isinstance(before, int | float):
        change = f"{value - before:+.6g}"
    return {"figure": name, "value": value, "last run": before, "change": change}


def _data_url(picture: Path) -> str:
    """The picture, made small, as an address that holds it.

    Raises:
        UserError: it is none that a stage wrote.
    """
    file, kind = io.BytesIO(), "png"
    try:
        with Image.open(picture, formats=("PNG",)) as image:
            image.thumbnail((SIDE, SIDE))
            image.save(file, "PNG", optimize=True)
            if file.tell() > BYTES:
                file, kind = io.BytesIO(), "jpeg"
                image.convert("RGB").save(file, "JPEG", quality=85)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"{picture}: no picture that can be read ({error}); {again(picture.parent.name)}") from None
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"


def _link(place: Path, workspace: Workspace, base_url: str) -> str:
    if base_url and place.is_relative_to(workspace.root):
        return f"{base_url.rstrip('/')}/{place.relative_to(workspace.root).as_posix()}"
    return place.as_uri()
