"""The dataset card, ``README.md`` of an exported set, with the front matter that Hugging Face reads.

The verdict on a set is found after the set is made, by ``classify``, and DVC keeps the set as it was made. So the card
in the set says where the verdict is, and :func:`publish` writes the card again, verdict included, for who passes it on.
"""

from collections import Counter
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from pipeline import provenance
from pipeline.binding import as_now, read_figures, require_current
from pipeline.escaping import block, code, markdown
from pipeline.formats.manifest import MANIFEST, About, count_images, read_about
from pipeline.formats.names import folder_names
from pipeline.templates import text_templates
from pipeline.wording import told
from pipeline.workspace import Workspace

CARD = "README.md"
SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)
PATTERNS = {"imagefolder": "images/{split}/**", "webdataset": "data/{split}-*.tar", "parquet": "data/{split}-*.parquet"}
SPLITS = {"train": "train", "val": "validation", "test": "test"}  # by Hugging Face's names

Counts = Counter[tuple[str, int, bool]]


def render_card(
    about: About,
    counts: Counts,
    quality: dict[str, Any] | None,
    utility: dict[str, Any] | None = None,
    revision: str | None = None,
) -> str:
    """The card as Markdown.

    Args:
        about: what is true of the whole set.
        counts: images by split, label and whether they are synthetic.
        quality: the content of ``metrics/quality.json``, if there is any.
        utility: the content of ``metrics/utility.json``, if this set has been judged.
        revision: see :func:`pipeline.provenance.revision`; the card in a set has none, which would make another set of
            it in every clone.
    """
    environment = text_templates(Path(__file__).parent)
    environment.filters |= {"markdown": markdown, "code": code, "block": block, "figure": _figure}
    return environment.get_template("card.md.j2").render(
        front=_yaml(_front_matter(about, counts)),
        about=about,
        counts=counts,
        folders=_folders(about),
        synthetic=sum(count for (_, _, synthetic), count in counts.items() if synthetic),
        total=counts.total(),
        real=[split for split in about.splits if any(key[0] == split and not key[2] for key in counts)],
        params=_yaml(about.params),
        quality=quality,
        utility=utility,
        told=told(utility) if utility else "",
        revision=revision,
    )


def publish(workspace: Workspace) -> str:
    """The card of the exported set with the verdict of ``classify`` in it.

    Raises:
        UserError: there is no set, no verdict on it, or figures that were edited or are of other files.
    """
    manifest = workspace.synthetic / MANIFEST
    quality, utility = (read_figures(workspace, name) for name in ("quality", "utility"))
    for name, figures in (("quality", quality), ("utility", utility)):
        require_current(name, figures, as_now(workspace, figures))
    about, counts = read_about(manifest), count_images(manifest)
    return render_card(about, counts, quality, utility, provenance.revision(workspace.root))


def _folders(about: About) -> list[tuple[str, str]]:
    """The classes with their folders, in a set that has some."""
    return list(zip(about.classes, folder_names(about.classes), strict=True)) if about.format == "imagefolder" else []


def _front_matter(about: About, counts: Counts) -> dict[str, Any]:
    pattern = PATTERNS[about.format]
    if len(about.splits) == 1:
        pattern = pattern.replace("images/{split}", "images")
    files = [{"split": SPLITS[split], "path": pattern.format(split=split)} for split in about.splits]
    matter: dict[str, Any] = {
        "license": about.licence,
        "task_categories": ["image-classification"],
        "size_categories": [next((name for limit, name in SIZES if counts.total() < limit), "n>10M")],
        "tags": ["synthetic", "gan", "augmint", "croissant"],
        "configs": [{"config_name": "default", "data_files": files}],
    }
    if about.format == "webdataset":  # the other two formats carry the names of the classes themselves
        # quoted, as YAML 1.1, which others read, takes a plain `no` for false
        names = {str(label): DoubleQuotedScalarString(name) for label, name in enumerate(about.classes)}
        label = {"class_label": {"names": names}}
        features = [{"name": about.encoding.extension, "dtype": "image"}, {"name": "cls", "dtype": label}]
        keys = [{"name": name, "dtype": "string"} for name in ("__key__", "__url__")]
        matter["dataset_info"] = {"features": features + keys}
    return matter


def _figure(value: float | None) -> str:
    return "\N{EN DASH}" if value is None else f"{value:.3f}"


def _yaml(content: dict[str, Any]) -> str:
    yaml, text = YAML(), StringIO()
    yaml.default_flow_style, yaml.allow_unicode, yaml.width = False, True, 4096
    yaml.dump(content, text)
    return text.getvalue()
