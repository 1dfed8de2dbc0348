"""Which source reads the images that a user points at."""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import UserError
from pipeline.params import DataParams
from pipeline.remote.addresses import is_url, local_path, unkeyed
from pipeline.sources import Source, open_source
from pipeline.sources.base import printable

TABLES = (".csv", ".tsv")
SHARDS = (".parquet", ".arrow")
HUB = re.compile(r"hf:(?://datasets/)?(?P<name>[\w.-]+/[\w.-]+(?::[\w.-]+)?(?:@[\w.-]+)?)")
"""How a set of the Hugging Face Hub is named here: ``hf:owner/name``, with ``:configuration`` and ``@revision``."""


def recognise(images: str, root: Path, label_column: str = "") -> tuple[DataParams, Source]:
    """What opens ``images``, and the opened source.

    Args:
        images: a path as the user wrote it, absolute or relative to the working directory; an address that fsspec
            knows; or ``hf:owner/name``.
        root: the project's folder, below which sets are kept that have to be fetched first.
        label_column: see :class:`pipeline.params.DataParams`; empty where it is to be found out.

    Raises:
        UserError: nothing there, or no source makes sense of it; says what each of them found.
    """
    if hub := HUB.fullmatch(images):
        name = hub["name"]
        folder = "data/" + re.sub(r"[^\w.-]+", "-", name)
        candidates = [{"source": "huggingface", "path": folder, "dataset": name, "download": True}]
    elif is_url(images):
        candidates = [{"source": kind, "path": images} for kind in _kinds_by_name(images)]
    else:
        path = Path(images).expanduser()
        candidates = [{"source": kind, "path": str(place)} for kind, place in _kinds(path.absolute())]
    return _first_that_opens(images, candidates, root, label_column)


def check_there(images: str) -> None:
    """Checks at once that a path is one, before what takes seconds to load.

    Raises:
        UserError: there is nothing, or an address with a secret in it.
    """
    if printable(images) != images:
        raise UserError(f"--images: {printable(images)}: its name is not UTF-8, which params.yaml is; rename it")
    try:
        unkeyed(images)
    except ValueError as error:
        raise UserError(f"--images: {error}") from None
    if not HUB.fullmatch(images) and not is_url(images):
        next(_kinds(Path(images).expanduser().absolute()))


def _first_that_opens(
    images: str, candidates: list[dict[str, object]], root: Path, label_column: str
) -> tuple[DataParams, Source]:
    problems = []
    for candidate in candidates:
        try:
            data = DataParams.model_validate(candidate | ({"label_column": label_column} if label_column else {}))
            return data, open_source(data, root)
        except ValueError:  # label_column with a source whose folders are the classes
            problems.append(f"as source: {candidate['source']}: it takes no --label-column, as its folders are classes")
        except UserError as error:
            problems.append(f"as source: {candidate['source']}: {str(error).removeprefix('data.path: ')}")
    problems = [problem.replace("data.label_column", "--label-column") for problem in problems]
    if len(problems) == 1:
        raise UserError(f"--images: {problems[0].partition(': ')[2].partition(': ')[2]}")
    raise UserError("\n".join([f"--images: {images}: it can be read in no way:", *problems]))


def _kinds_by_name(address: str) -> list[str]:
    """Sources for an address, the likeliest first; what is there is seen when it is opened."""
    name = address.partition("?")[0].rstrip("/").lower()
    if name.endswith(".npz"):
        return ["npz"]
    if name.endswith(SHARDS):
        return ["table"]
    if name.endswith((".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".tbz2", ".txz")):
        return ["archive"]
    return ["folder", "table", "huggingface"] if "." not in name.rpartition("/")[2] else ["archive"]


def _kinds(path: Path) -> Iterator[tuple[str, Path]]:
    """Sources and what to give them, the likeliest first.

    Raises:
        UserError: there is nothing.
    """
    if not path.exists():
        raise UserError(
            f"--images: {path}: no such file or folder; give a folder, an archive, a table, an .npz file, an address "
            "such as https://…/set.zip, or hf:owner/name for a set of the Hugging Face Hub"
        )
    if path.is_dir():
        yield from ((kind, path) for kind in _kinds_of_folder(path))
    elif path.name.lower().endswith(TABLES):
        yield "table", path.parent  # DVC watches the images too
    elif path.name.lower().endswith(SHARDS):
        yield "table", path
    else:
        yield ("npz" if _is_npz(path) else "archive"), path


def _kinds_of_folder(folder: Path) -> list[str]:
    names = {entry.name.lower() for entry in folder.iterdir()}
    saved = {"dataset_dict.json", "dataset_info.json"} & names
    if saved or any(found.is_file() for suffix in SHARDS for found in folder.rglob(f"*{suffix}")):
        return ["huggingface", "table", "folder"]
    if any(name.endswith(TABLES) for name in names):
        return ["table", "huggingface", "folder"] if "metadata.csv" in names else ["table", "folder"]
    return ["folder", "huggingface"] if "metadata.jsonl" in names else ["folder"]


def _is_npz(path: Path) -> bool:
    """Whether a file is a zip of NumPy's arrays alone, whatever it is called."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return path.suffix.lower() == ".npz"  # whose own reader says what is wrong
    return bool(names) and all(name.endswith(".npy") for name in names)


def as_written(data: DataParams, project: Path) -> str:
    """How ``data.path`` should stand in params.yaml: relative where the images lie in the project or beside it.

    A relative path moves with both; an absolute one finds images that lie elsewhere, wherever the project goes on this
    machine.
    """
    if is_url(data.path):
        return str(local_path(data.path) or data.path)
    if not Path(data.path).is_absolute():
        return data.path  # below the project
    path, project = Path(data.path).resolve(), project.resolve()
    if path.is_relative_to(project):
        return path.relative_to(project).as_posix()
    if path.is_relative_to(project.parent) and project.parent != Path(project.anchor):
        return f"../{path.relative_to(project.parent).as_posix()}"
    return str(path)
