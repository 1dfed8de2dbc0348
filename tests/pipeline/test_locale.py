"""Names of classes hang on no locale: the same bytes in ASCII as in UTF-8, from the images to the report."""

import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gan.checkpoint import save_network
from gan.networks import Shape, build
from pipeline.cli import main
from pipeline.workspace import Workspace
from tests.pipeline.report import made_project

NAMES = ("Käse", "日本")
PARAMS = """# Käse
data: {source: folder, path: images, near_duplicate_bits: 0}
export: {balance: 12, classes: {Käse: 14}, include_real: train}
"""


INGEST = """
import sys
from pipeline.cli import main
sys.argv = ["augmint", "ingest"]
main(standalone_mode=False)
"""


def make_the_rest() -> None:
    """Exports with a generator that nobody has trained, and writes the report, in this folder."""
    card = {"family": "dcgan", "classes": list(NAMES), "precision": "float32"}
    torch.manual_seed(0)
    save_network(Workspace().models, "generator", build("dcgan", "generator", Shape(8, 3, 2, 4, 4)), card)
    sys.argv = ["augmint", "export"]
    main(standalone_mode=False)
    made_project.HOSTILE = NAMES[0]
    Path("told").mkdir()
    made_project.written(made_project.make(Path("told")))


def images(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in NAMES:
        (folder / "images" / name).mkdir(parents=True)
        for number in range(20):
            pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "images" / name / f"{number}.png")
    (folder / "params.yaml").write_text(PARAMS, encoding="utf-8")
    return folder


def content(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest() for path in files}


def test_names_of_classes_hang_on_no_locale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ascii_only, here = images(tmp_path / "ascii"), images(tmp_path / "here")
    code = INGEST + "from tests.pipeline.test_locale import make_the_rest; make_the_rest()"
    environment = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ascii_only,
        env=os.environ | environment | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    monkeypatch.chdir(here)
    monkeypatch.setattr("sys.argv", [])
    monkeypatch.setattr(made_project, "HOSTILE", made_project.HOSTILE)
    exec(INGEST)
    make_the_rest()
    assert content(ascii_only) == content(here)
    told = (ascii_only / "told" / "report" / "index.html").read_text(encoding="utf-8")
    assert "Käse" in told
    assert len(list((ascii_only / "synthetic" / "images" / "Käse").glob("synthetic-*"))) == 4
    assert b"K\xc3\xa4se" in (ascii_only / "data" / "store" / "summary.json").read_bytes()
