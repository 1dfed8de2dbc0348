"""Ingest against a plain loop of PIL's ``open``, torchvision's ``Resize`` and ``ToTensor``; memory at 10 times the set.

    python benchmarks/ingest.py ARCHIVE [SIZE]

ARCHIVE is a zip of JPEGs as <class>/<image>. The loops and the stage take turns, each in a process of its own, and the
best of the rounds counts, without imports. The loops read an unpacked folder, in one process; the stage reads the
archive, finds duplicates, splits and writes the store. Ten times the images are the same pictures, each copy compressed
anew, so that none is an exact duplicate.
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


def main() -> None:
    """Prints the table."""
    archive = Path(sys.argv[1]) if len(sys.argv) > 1 else Path()
    size = int(sys.argv[2]) if len(sys.argv) > 2 else 64
    if not archive.is_file():
        print(f"skipped: {archive}: no such archive; name one: python benchmarks/ingest.py ARCHIVE [SIZE]")
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(root / "unpacked")
        many = _multiplied(archive, root / "many.zip")
        results: dict[str, list[tuple[int, float, float]]] = {}
        for _ in range(ROUNDS):
            for name, loop in LOOPS.items():
                results.setdefault(name, []).append(_in_process(loop, root / "unpacked", size))
            results.setdefault(STAGE, []).append(_in_process("stage", archive, size))
        results[f"{STAGE}, {TIMES} times the images"] = [_in_process("stage", many, size)]
    Console().print(_table(results, f"{archive.name} at {size} x {size}"))


def _table(results: dict[str, list[tuple[int, float, float]]], title: str) -> Table:
    speeds = {name: max(count / seconds for count, seconds, _ in runs) for name, runs in results.items()}
    table = Table("", "images", "images/s", f"{STAGE} is", "peak MiB above imports", title=title)
    for name, runs in results.items():
        ratio = f"{speeds[STAGE] / speeds[name]:.1f} x" if name in LOOPS else ""
        table.add_row(name, f"{runs[0][0]:,}", f"{speeds[name]:,.0f}", ratio, f"{max(peak for *_, peak in runs):,.0f}")
    return table


def _in_process(kind: str, path: Path, size: int) -> tuple[int, float, float]:
    """Images, seconds, and peak MiB of one run."""
    command = [sys.executable, __file__, "--run", kind, str(path), str(size)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    count, seconds, peak = done.stdout.split()[-3:]
    return int(count), float(seconds), float(peak)


def _run(kind: str, path: Path, size: int) -> None:
    work = _stage(path, size) if kind == "stage" else _loop(kind, path, size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    count = work()
    seconds = time.perf_counter() - began
    print(count, seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


def _stage(archive: Path, size: int) -> Callable[[], int]:
    from pipeline.params import DataParams, Params
    from pipeline.stages import ingest
    from pipeline.store import Store
    from pipeline.workspace import Workspace

    params = Params(data=DataParams(source="archive", path=str(archive.resolve()), image_size=size))

    def work() -> int:
        with tempfile.TemporaryDirectory() as folder:
            workspace = Workspace(Path(folder))
            ingest.run(params, workspace)
            return int(Store.open(workspace.store).summary["ingest"]["images"]["found"])

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
