"""Stages on one core and on two: seconds, how many times as fast, and whether the bytes are the same.

    python benchmarks/workers.py [--engine local] [--images 60000] [--drawn 12000] [--size 32] [--width 16] [--rounds 3]
                                 [--stages ingest evaluate export]

One core is this program's first one, to which a process is pinned, with one worker, in that process; two are its first
two, with two workers of the engine. Each run is a process of its own; its stage is timed, without imports, but with the
start of a cluster where the engine has one. The runs take turns, and the best of each counts. Images are small colour
PNGs in a folder; what is exported comes from a generator that nobody has trained, as an image folder. Evaluated are
1,000 of its images against the tenth of as many grey ones as are ingested, with one thread, on which bytes depend.
"""

import argparse
import contextlib
import gc
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from pipeline.params import WorkersParams
    from pipeline.store import SplitName
    from pipeline.workspace import Workspace

CLASSES = 10
STAGES = ("ingest", "evaluate", "export")


def main() -> None:
    """Prints the table."""
    args = _arguments()
    cores = sorted(os.sched_getaffinity(0))
    if args.run:
        _run(args, cores)
        return
    if len(cores) < 2:
        print("skipped: it takes two cores")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("stage", "images", "one core, s", f"two cores ({args.engine}), s", "ratio", "same bytes")
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        for stage in args.stages:
            _prepare(stage, Path(folder), args)
            taken: dict[int, list[float]] = {1: [], 2: []}
            found = set()
            for _ in range(args.rounds):
                for count, seconds in taken.items():
                    spent, sums = _in_process(stage, Path(folder), args, cores[:count])
                    seconds.append(spent)
                    found.add(sums)
            one, two = min(taken[1]), min(taken[2])
            images = args.drawn if stage == "export" else args.images
            same = "yes" if len(found) == 1 else "NO"
            table.add_row(stage, f"{images:,}", f"{one:.2f}", f"{two:.2f}", f"{one / two:.2f} x", same)
    Console().print(table)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=("local", "dask", "ray"), default="local", help="of the two workers")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES, help="to be timed")
    parser.add_argument("--images", type=int, default=60_000, help="of ingest and evaluate")
    parser.add_argument("--drawn", type=int, default=12_000, help="drawn by export")
    parser.add_argument("--size", type=int, default=32, help="pixels a side")
    parser.add_argument("--width", type=int, default=16, help="of the generator")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", help="where to work; the system's temporary folder if not given")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    return parser.parse_args()


def _in_process(stage: str, folder: Path, args: argparse.Namespace, cores: list[int]) -> tuple[float, str]:
    """Seconds of the stage and the digest of what it wrote, from a process that is pinned to ``cores``."""
    again = [
        part for name in ("engine", "images", "drawn", "size", "width") for part in (f"--{name}", vars(args)[name])
    ]
    command = [sys.executable, __file__, *map(str, again), "--folder", str(folder), "--run", stage]
    pinned = "import os, sys; os.sched_setaffinity(0, {%s}); os.execv(sys.argv[1], sys.argv[1:])"
    start = [sys.executable, "-c", pinned % ", ".join(map(str, cores)), *command]
    done = subprocess.run(start, check=True, stdout=subprocess.PIPE, text=True)
    seconds, sums = done.stdout.split()[-2:]
    return float(seconds), sums


def _prepare(stage: str, folder: Path, args: argparse.Namespace) -> None:
    import numpy as np
    from PIL import Image

    if stage != "ingest":
        return
    rng = np.random.default_rng(0)
    for label in range(CLASSES):
        (folder / "images" / f"class{label}").mkdir(parents=True)
    for index in range(args.images):
        coarse = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((args.size, args.size), Image.Resampling.BICUBIC)
        picture.save(folder / "images" / f"class{index % CLASSES}" / f"{index:07}.png", compress_level=1)


def _run(args: argparse.Namespace, cores: list[int]) -> None:
    from pipeline.runtime import prepare

    prepare()
    from pipeline.params import WorkersParams

    one = len(cores) == 1
    chosen = WorkersParams(count=1) if one else WorkersParams(engine=args.engine, count=2)
    with tempfile.TemporaryDirectory(dir=args.folder) as place:
        work = {"ingest": _ingest, "evaluate": _evaluate, "export": _export}[args.run](Path(place), args, chosen)
        gc.freeze()  # as the command has it
        began = time.perf_counter()
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere, contextlib.redirect_stderr(nowhere):
            work()
        print(time.perf_counter() - began, _sums(Path(place)))


def _ingest(place: Path, args: argparse.Namespace, chosen: "WorkersParams") -> Callable[[], None]:
    from pipeline.params import DataParams, Params
    from pipeline.stages import ingest
    from pipeline.workspace import Workspace

    data = DataParams(source="folder", path=str(Path(args.folder) / "images"), image_size=args.size)
    return lambda: ingest.run(Params(data=data, workers=chosen), Workspace(place))


def _evaluate(place: Path, args: argparse.Namespace, chosen: "WorkersParams") -> Callable[[], None]:
    import numpy as np
    import torch

    from pipeline.params import EvaluateParams, Params
    from pipeline.stages import evaluate

    torch.set_num_threads(1)
    labels = np.arange(args.images) % CLASSES
    train, val, test = np.split(labels, [args.images * 8 // 10, args.images * 9 // 10])
    workspace = _project(place, args, {"train": train, "val": val, "test": test}, channels=1)
    settings = EvaluateParams(embedder_steps=50)
    return lambda: evaluate.run(Params(evaluate=settings, workers=chosen), workspace)


def _export(place: Path, args: argparse.Namespace, chosen: "WorkersParams") -> Callable[[], None]:
    import numpy as np

    from pipeline.params import ExportParams, Params
    from pipeline.stages import export

    none = np.empty(0, np.int64)
    workspace = _project(place, args, {"train": np.arange(CLASSES), "val": none, "test": none}, channels=3)
    params = Params(export=ExportParams(balance=1 + args.drawn // CLASSES), workers=chosen)
    return lambda: export.run(params, workspace)


def _project(
    place: Path, args: argparse.Namespace, labels: "dict[SplitName, np.ndarray]", channels: int
) -> "Workspace":
    """A store of noise, and a generator that nobody has trained."""
    import numpy as np
    import torch

    from gan.checkpoint import save_network
    from gan.networks import Shape, build
    from pipeline.store import write_store
    from pipeline.workspace import Workspace

    workspace, classes = Workspace(place), tuple(f"class{label}" for label in range(CLASSES))
    workspace.store.mkdir(parents=True)
    rng, shape = np.random.default_rng(0), (channels, args.size, args.size)
    blocks = (rng.integers(0, 256, (len(part), *shape), np.uint8) for part in labels.values())
    write_store(workspace.store, blocks, labels, classes, shape, {})
    torch.manual_seed(0)
    network = build("resnet", "generator", Shape(args.size, channels, CLASSES, 64, args.width))
    save_network(workspace.models, "generator", network, {"family": "resnet", "classes": list(classes)})
    return workspace


def _sums(folder: Path) -> str:
    """Names the bytes of all files that are not hidden."""
    found = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        inner = path.relative_to(folder).as_posix()
        if not inner.startswith((".", "models")):
            found.update(inner.encode() + hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


if __name__ == "__main__":
    main()
