"""Ingest against a plain loop of PIL's ``open``, torchvision's ``Resize`` and ``ToTensor``; memory at 10 times the set.

    python benchmarks/ingest.py ARCHIVE [SIZE [SMALL]]

ARCHIVE is a zip of JPEGs as <class>/<image>. The loops and the stage take turns, each in a process of its own, and the
best of the rounds counts, without imports. The loops read an unpacked folder, in one process; the stage reads the
archive, finds duplicates, splits and writes the store. Ten times the images are the same pictures, each copy compressed
anew, so that none is an exact duplicate.

SMALL is a zip of many small PNGs as <class>/<image>, or train/<class>/<image>: unpacked, it is ingested at the size of
its first image, and read through once by torchvision's ImageFolder.

Processor time is that of the process and of those that it started; on a busy machine it says more than the clock.
"""

import io
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from rich.console import Console
from rich.table import Table

ROUNDS = 5
TIMES = 10

LOOPS = {
    "Resize((S, S)), ToTensor": "square",
    "Resize(S), CenterCrop(S), ToTensor": "crop",
    "convert('RGB') as ImageFolder does, Resize((S, S)), ToTensor": "rgb",
    "ToTensor, Resize((S, S))": "tensor",
}
STAGE = "augmint ingest"
FOLDER = "ImageFolder, read through once"


class Run(NamedTuple):
    """What one run took.

    Attributes:
        images: how many.
        seconds: by the clock.
        processor: seconds.
        peak: MiB above imports, of the process itself.
    """

    images: int
    seconds: float
    processor: float
    peak: float


def main() -> None:
    """Prints the table."""
    archive = Path(sys.argv[1]) if len(sys.argv) > 1 else Path()
    size = int(sys.argv[2]) if len(sys.argv) > 2 else 64
    small = Path(sys.argv[3]) if len(sys.argv) > 3 else None
    if not archive.is_file():
        print(f"skipped: {archive}: no such archive; name one: python benchmarks/ingest.py ARCHIVE [SIZE [SMALL]]")
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(root / "unpacked")
        many = _multiplied(archive, root / "many.zip")
        results: dict[str, list[Run]] = {}
        for _ in range(ROUNDS):
            for name, loop in LOOPS.items():
                results.setdefault(name, []).append(_in_process(loop, root / "unpacked", size))
            results.setdefault(STAGE, []).append(_in_process("stage", archive, size))
        results[f"{STAGE}, {TIMES} times the images"] = [_in_process("stage", many, size)]
        Console().print(_table(results, f"{archive.name} at {size} x {size}"))
        if small:
            Console().print(_of_small(small, root / "small"))


def _of_small(archive: Path, folder: Path) -> Table:
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    folder = folder / "train" if (folder / "train").is_dir() else folder
    with Image.open(next(path for path in folder.rglob("*") if path.is_file())) as image:
        side = min(image.size)
    results: dict[str, list[Run]] = {FOLDER: [], STAGE: []}
    for _ in range(ROUNDS):
        results[FOLDER].append(_in_process("folder", folder, side))
        results[STAGE].append(_in_process("stage", folder, side))
    return _table(results, f"{archive.name} at {side} x {side}")


def _table(results: dict[str, list[Run]], title: str) -> Table:
    best = {name: min(runs, key=lambda run: run.seconds / run.images) for name, runs in results.items()}
    speeds = {name: run.images / run.seconds for name, run in best.items()}
    columns = ("", "images", "images/s", f"{STAGE} is", "processor s", "peak MiB above imports")
    table = Table(*columns, title=title)
    for name, runs in results.items():
        ratio = "" if name.startswith(STAGE) else f"{speeds[STAGE] / speeds[name]:.1f} x"
        peak, processor = max(run.peak for run in runs), min(run.processor for run in runs)
        table.add_row(name, f"{best[name].images:,}", f"{speeds[name]:,.0f}", ratio, f"{processor:.2f}", f"{peak:,.0f}")
    return table


def _in_process(kind: str, path: Path, size: int) -> Run:
    """One run in a process of its own."""
    command = [sys.executable, __file__, "--run", kind, str(path), str(size)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    count, seconds, processor, peak = done.stdout.split()[-4:]
    return Run(int(count), float(seconds), float(processor), float(peak))


def _run(kind: str, path: Path, size: int) -> None:
    work = _stage(path, size) if kind == "stage" else _folder(path) if kind == "folder" else _loop(kind, path, size)
    before, used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, _processor()
    began = time.perf_counter()
    count = work()
    seconds = time.perf_counter() - began
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(count, seconds, _processor() - used, peak)


def _processor() -> float:
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in spent)


def _stage(path: Path, size: int) -> Callable[[], int]:
    from pipeline.params import DataParams, Params
    from pipeline.stages import ingest
    from pipeline.store import Store
    from pipeline.workspace import Workspace

    source = "folder" if path.is_dir() else "archive"
    params = Params(data=DataParams(source=source, path=str(path.resolve()), image_size=size))

    def work() -> int:
        with tempfile.TemporaryDirectory() as folder:
            workspace = Workspace(Path(folder))
            ingest.run(params, workspace)
            return int(Store.open(workspace.store).summary["ingest"]["images"]["found"])

    return work


def _folder(path: Path) -> Callable[[], int]:
    from torchvision.datasets import ImageFolder

    def work() -> int:
        images = ImageFolder(str(path))
        return sum(1 for index in range(len(images)) if images[index])

    return work


def _loop(kind: str, folder: Path, size: int) -> Callable[[], int]:
    import torch
    from torchvision import transforms

    torch.set_num_threads(1)
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    square, tensor = transforms.Resize((size, size)), transforms.ToTensor()
    steps = {
        "crop": [transforms.Resize(size), transforms.CenterCrop(size), tensor],
        "tensor": [tensor, square],
    }.get(kind, [square, tensor])
    transform = transforms.Compose(steps)

    def work() -> int:
        for file in files:
            with Image.open(file) as image:
                transform(image.convert("RGB") if kind == "rgb" else image)
        return len(files)

    return work


def _multiplied(archive: Path, path: Path) -> Path:
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(path, "w") as target:
        for member in source.infolist():
            if not member.filename.lower().endswith((".jpg", ".jpeg")):
                continue
            data = source.read(member)
            stem = member.filename.rsplit(".", 1)[0]
            target.writestr(f"{stem}.jpg", data)
            with Image.open(io.BytesIO(data)) as image:
                for copy in range(1, TIMES):
                    file = io.BytesIO()
                    image.save(file, "JPEG", quality=96 - 4 * copy)
                    target.writestr(f"{stem}-{copy}.jpg", file.getvalue())
    return path


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        _run(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
    else:
        main()
