"""Small labelled sets as they should be, and what an independent reader finds: Pillow, NumPy and PyArrow alone."""

import hashlib
import io
import json
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image, ImageOps

from benchmarks.faults.trials import Ended, run

SIDE = 8
CLASSES = ("bolt", "nut")
PER_CLASS = 8
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF", "QOI", "DIB", "TGA")
MOST_PIXELS = 1 << 22  # of an image that is read here for comparison


Right = Callable[[Path, Ended], str]


@dataclass(frozen=True)
class Sample:
    """One image as a reader should find it.

    Attributes:
        data: the file's bytes.
        split: None if it is to be drawn.
        pixels: uint8 (H, W, 3) that it stands for; None if Pillow alone says so; ``()`` if it was not tried, and may
            be refused for its size too.
    """

    data: bytes
    label: str
    split: str | None = None
    pixels: np.ndarray | tuple[()] | None = None


def picture(seed: int, mode: str = "RGB", side: int = SIDE) -> Image.Image:
    """A picture like no other."""
    random = np.random.default_rng(seed)
    return Image.fromarray(random.integers(0, 256, (side, side, 3), np.uint8)).convert(mode)


def packed(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    """The bytes of a file."""
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def good(classes: Iterable[str] = CLASSES, per_class: int = PER_CLASS) -> dict[str, Sample]:
    """Images by path, one folder a class."""
    return {
        f"{name}/{i}.png": Sample(packed(picture(1000 * number + i)), name)
        for number, name in enumerate(classes)
        for i in range(per_class)
    }


def write(folder: Path, samples: dict[str, Sample]) -> None:
    """The files of a set."""
    for path, sample in samples.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(sample.data)


def choose(project: Path, source: str, path: str = "set", **data: object) -> None:
    """Writes ``params.yaml``; JSON is YAML."""
    values = {"source": source, "path": path, "image_size": SIDE, "val_fraction": 0.2, "test_fraction": 0.2}
    text = json.dumps({"data": {**values, "channels": "RGB", "near_duplicate_bits": 0, **data}})
    (project / "params.yaml").write_text(text, encoding="utf-8")


def base(project: Path) -> None:
    """A project with a folder of images, and the store of another one that was ingested before."""
    choose(project, "folder")
    write(project / "set", good(("old", "older")))
    ended = run(project, ("ingest",))
    assert ended.code == 0, ended.said
    for path in sorted((project / "set").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def compare(project: Path, expected: Iterable[Sample], classes: Iterable[str] | None = None, unread: int = 0) -> str:
    """What the store of a project lacks, has too much, or shows otherwise than ``expected``.

    Args:
        classes: in the order that their numbers have to follow; sorted by code point if left out.
        unread: files that hold no image, each of which has to be counted somewhere.
    """
    samples = list(expected)
    store, figures = project / "data/store", json.loads((project / "metrics/ingest.json").read_bytes())
    rows = pq.read_table(store / "manifest.parquet").to_pylist()
    summary = json.loads((store / "summary.json").read_bytes())
    wanted = list(classes) if classes is not None else sorted({sample.label for sample in samples})
    if summary["classes"] != wanted:
        return f"classes {summary['classes']}, expected {wanted}"
    bad = [row for row in rows if row["width"] is None]
    told = len(bad) + sum(entry["files"] for entry in figures["passed_over"])
    found = Counter((row["sha256"], row["label"]) for row in rows if row["width"] is not None)
    refused = [sample for sample in samples if isinstance(sample.pixels, tuple) and _key(sample) not in found]
    if told < unread + len(refused):
        return f"{unread + len(refused)} files hold no image, {told} are counted"
    due = Counter(map(_key, samples)) - Counter(map(_key, refused))
    if found != due:
        bad_ones = ", ".join(f"{row['path']}: {row['reason']}" for row in bad[:3])
        return f"{(due - found).total()} images are missing ({bad_ones}), {(found - due).total()} too many or misplaced"
    return _splits(rows, samples) or _pixels(store, summary["classes"], rows, samples)


def _key(sample: Sample) -> tuple[str, str]:
    return hashlib.sha256(sample.data).hexdigest(), sample.label


def _splits(rows: list[dict[str, str]], samples: list[Sample]) -> str:
    given = {_key(sample)[0]: sample.split for sample in samples if sample.split}
    for row in rows:
        if row["split"] and row["split"] != given.get(row["sha256"], row["split"]):
            return f"{row['path']} is in {row['split']}, expected {given[row['sha256']]}"
    return ""


def _pixels(store: Path, classes: list[str], rows: list[dict[str, str]], samples: list[Sample]) -> str:
    images, labels = np.load(store / "images.npy"), np.load(store / "labels.npy")
    by_digest = {_key(sample)[0]: sample for sample in samples}
    for row in rows:
        if row["row"] is None:
            continue
        place, sample = int(row["row"]), by_digest[row["sha256"]]
        if classes[labels[place]] != sample.label:
            return f"{row['path']} is labelled {classes[labels[place]]!r}, expected {sample.label!r}"
        pixels = seen(sample.data) if sample.pixels is None else sample.pixels
        if not isinstance(pixels, np.ndarray) or pixels.shape[:2] != images.shape[2:]:
            continue
        shown = np.broadcast_to(images[place], (3, *images.shape[2:])).transpose(1, 2, 0)
        if (off := np.abs(shown.astype(int) - pixels).max()) > 1:
            return f"{row['path']} has other pixels than an independent reader sees, by {off} of 255"
    return ""


def seen(data: bytes) -> np.ndarray | tuple[()] | None:
    """The pixels by Pillow alone, uint8 (H, W, 3), laid on white; None if it cannot read them, ``()`` if not tried."""
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                return ()
            image.load()
            if image.mode.startswith(("I", "F")):
                return ()
            upright = ImageOps.exif_transpose(image).convert("RGBA")
        white = Image.new("RGBA", upright.size, "white")
        return np.asarray(Image.alpha_composite(white, upright).convert("RGB"))
    except Exception:  # whatever a plug-in raises
        return None


def judged_by(expected: Collection[Sample], classes: Sequence[str] | None = None, unread: int = 0) -> Right:
    """:func:`compare` as a case's ``right``."""

    def right(project: Path, ended: Ended) -> str:  # noqa: ARG001
        return compare(project, expected, classes, unread)

    return right
