"""The whole pipeline on a set of yours by one command, and its table for docs/results.md.

    python benchmarks/verdict.py examples/fashion-mnist.yaml fashion-mnist.zip --folder fashion --set-to train.kimg=60
    python benchmarks/verdict.py examples/magnetic-tile.yaml magnetic-tile.zip

A project of its own is made in the folder, with the parameter file and the archive's path in it, and `dvc repro` is run
there; the report lies there afterwards. Run again, it does what is missing.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import parameters

from pipeline.experiment.names import in_order

REPOSITORY = Path(__file__).resolve().parents[1]


def main() -> None:
    """Makes the project, runs it, prints the table."""
    options = _options()
    if options.folder:
        _run(options, options.folder.resolve())
        return
    with tempfile.TemporaryDirectory() as folder:
        _run(options, Path(folder))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("params", type=Path, help="a parameter file")
    parser.add_argument("archive", type=Path, help="what its data.path stands for")
    parser.add_argument("--folder", type=Path, help="where to work; a temporary one if left out")
    parser.add_argument("--set-to", action="append", default=[], metavar="KEY=VALUE", help="e.g. train.recipe=r3")
    return parser.parse_args()


def _run(options: argparse.Namespace, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(REPOSITORY / "dvc.yaml", folder)
    parameters.write(options.params, options.archive, options.set_to, folder / "params.yaml")
    binaries = str(Path(sys.executable).parent)
    environment = os.environ | {"PATH": binaries + os.pathsep + os.environ["PATH"], "DVC_NO_ANALYTICS": "1"}
    if not (folder / ".dvc").exists():
        subprocess.run(["dvc", "init", "--no-scm", "-q"], cwd=folder, env=environment, check=True)
    if code := subprocess.run(["dvc", "repro"], cwd=folder, env=environment, check=False).returncode:
        sys.exit(code)  # dvc has said why; a failed gate is one such end
    print(table(json.loads((folder / "metrics" / "utility.json").read_text())))


def table(utility: dict[str, Any]) -> str:
    """Markdown: the arms, the doses, the verdict."""
    against = {row["against"]: row for row in utility["comparisons"]}
    rows = ["| arm | validation | test | 95 % | macro-F1 | + synthetic against it |", "| --- |" + " ---: |" * 5]
    for name, arm in in_order(utility["arms"]):
        title = f"{arm['title']}, the baseline" if name == utility["baseline"] else arm["title"]
        difference = _difference(against[name]) if name in against else ""
        low, high = arm["ci95"]
        figures = (_percent(arm[key]) for key in ("validation", "balanced_accuracy"))
        title += f" ({arm['recipe']})" if arm["recipe"] else ""
        rows.append(
            f"| {title} | {' | '.join(figures)} | {_percent(low)} to {_percent(high)} | {_percent(arm['macro_f1'])} "
            f"| {difference} |"
        )
    doses = ", ".join(f"{row['dose']:g}: {_percent(row['validation'])}" for row in utility["doses"])
    return "\n".join([*rows, "", f"Doses on val: {doses}.", "", f"**{utility['verdict']}**: {utility['sentence']}"])


def _percent(value: float) -> str:
    return f"{value * 100:.1f}"


def _difference(row: dict[str, Any]) -> str:
    low, high = row["ci95"]
    return f"{row['delta'] * 100:+.1f} ({low * 100:+.1f} to {high * 100:+.1f})"


if __name__ == "__main__":
    main()
