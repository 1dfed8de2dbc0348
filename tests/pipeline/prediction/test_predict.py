"""`augmint predict`: what it says of each image is what Pillow and plain torch say; nothing stops it or is lost."""

import csv
import io
import json
import os
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from pipeline.cli import main
from tests.pipeline.prediction.shipped import ship

NAMES = ("a.png", "deep/er/b.png", "c.bmp", "d.webp")
HOSTILE = ("=1+1.png", "@x.png", "quote\"'.png", "comma,.png", "new\nline.png", "red\x1b[31m.png", "é.png")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.chdir(root)
    return root


def predict(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["predict", *arguments])
    assert result.exit_code == code, result.output
    return result


def pixels(name: str, size: tuple[int, int] = (8, 8)) -> np.ndarray:
    rng = np.random.default_rng(sum(map(ord, name)))
    return rng.integers(0, 256, (*size, 3), dtype=np.uint8)


def images(root: Path, names: tuple[str, ...] = NAMES) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels(name)).save(root / name, lossless=True)
    return root


def read_csv(text: str) -> dict[str, dict[str, str]]:
    return {row["file"]: row for row in csv.DictReader(io.StringIO(text, newline=""), strict=True)}


def plain(network: torch.nn.Module, image: np.ndarray) -> np.ndarray:
    """Probabilities of uint8 (H, W, C), by torch alone."""
    x = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.inference_mode():
        return torch.softmax(network(x)[0].double(), 0).numpy()


def test_probabilities_are_those_of_plain_torch(project: Path, tmp_path: Path) -> None:
    network, folder = ship(project / "classifier"), images(tmp_path / "any")
    rows = read_csv(predict(str(folder)).stdout)
    assert list(rows) == sorted(NAMES)
    for name, row in rows.items():
        with Image.open(folder / name) as image:
            expected = plain(network, np.asarray(image.convert("RGB")))
        found = [float(row[f"p_{label}"]) for label in ("cat", "dog", "owl")]
        np.testing.assert_allclose(found, expected, atol=2e-6)
        assert row["class"] == ("cat", "dog", "owl")[int(expected.argmax())]


def test_logits_are_adjusted_before_they_are_compared(project: Path, tmp_path: Path) -> None:
    offsets = [2.0, 0.0, -1.0]
    network, folder = ship(project / "classifier", logit_offsets=offsets), images(tmp_path / "any", NAMES[:1])
    (row,) = read_csv(predict(str(folder)).stdout).values()
    adjusted = np.log(plain(network, pixels(NAMES[0]))) - offsets
    expected = np.exp(adjusted) / np.exp(adjusted).sum()
    np.testing.assert_allclose([float(row[f"p_{n}"]) for n in ("cat", "dog", "owl")], expected, atol=2e-6)


def packed(folder: Path, kind: str) -> Path:
    target = folder.with_suffix(kind)
    if kind == ".zip":
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(folder.rglob("*.*")):
                archive.write(file, file.relative_to(folder).as_posix())
    else:
        with tarfile.open(target, "w:gz" if kind == ".tgz" else "w") as tar:
            tar.add(folder, ".")
    return target


@pytest.mark.parametrize("kind", [".zip", ".tar", ".tgz"])
def test_an_archive_is_read_as_its_folder(project: Path, tmp_path: Path, kind: str) -> None:
    ship(project / "classifier")
    folder = images(tmp_path / "any")
    assert read_csv(predict(str(packed(folder, kind))).stdout) == read_csv(predict(str(folder)).stdout)


def test_a_single_image_and_json(project: Path, tmp_path: Path) -> None:
    ship(project / "classifier")
    folder = images(tmp_path / "any")
    (row,) = json.loads(predict(str(folder / "a.png"), "--format", "json").stdout)
    assert row["file"] == "a.png" and sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    by_csv = read_csv(predict(str(folder)).stdout)["a.png"]
    assert row["class"] == by_csv["class"]
    assert row["probabilities"]["owl"] == pytest.approx(float(by_csv["p_owl"]), abs=1e-6)


def test_what_cannot_be_read_is_named_and_stops_nothing(project: Path, tmp_path: Path) -> None:
    ship(project / "classifier")
    folder = images(tmp_path / "any")
    (folder / "cut.png").write_bytes((folder / "a.png").read_bytes()[:60])
    (folder / "none.jpg").write_bytes(b"no image")
    (folder / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    (folder / "notes.txt").write_text("text")
    done = predict(str(folder), "--out", "found.csv")
    rows = read_csv(Path("found.csv").read_text(encoding="utf-8"))
    assert sorted(rows) == sorted([*NAMES, "cut.png", "none.jpg", "photo.heic"])
    bad = [name for name, row in rows.items() if not row["class"]]
    assert sorted(bad) == ["cut.png", "none.jpg", "photo.heic"]
    assert all(rows[name]["error"] and not rows[name]["p_cat"] for name in bad)
    assert all(name in done.stderr for name in bad) and "passed over: 1 text" in done.stderr
    assert "4 images" in done.stderr


def test_no_image_that_can_be_read_is_an_error_and_leaves_the_file_as_it_was(project: Path, tmp_path: Path) -> None:
    ship(project / "classifier")
    folder = tmp_path / "any"
    folder.mkdir()
    (folder / "none.jpg").write_bytes(b"no image")
    Path("found.csv").write_text("before", encoding="utf-8")
    assert "none.jpg" in predict(str(folder), "--out", "found.csv", code=2).stderr
    (folder / "none.jpg").unlink()
    assert "no image among 0 files" in predict(str(folder), "--out", "found.csv", code=2).stderr
    assert "no such file" in predict(str(tmp_path / "nowhere"), "--out", "found.csv", code=2).stderr
    archive = packed(images(folder), ".zip")
    archive.write_bytes(archive.read_bytes()[:-100])
    message = predict(str(archive), "--out", "found.csv", code=2).stderr
    assert "damaged" in message and "data.path" not in message
    assert Path("found.csv").read_text(encoding="utf-8") == "before" and not list(project.glob("*.part"))


def test_hostile_names_act_nowhere_and_are_whole_in_json(project: Path, tmp_path: Path) -> None:
    ship(project / "classifier", ("=HYPERLINK(1)", "x\x1b[31m", "ok"))
    folder = images(tmp_path / "any", HOSTILE)
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.png")).write_bytes((folder / "é.png").read_bytes())
    text = predict(str(folder)).stdout
    assert "\x1b" not in text
    for row in csv.reader(io.StringIO(text, newline=""), strict=True):
        assert len(row) == 6 and not any(cell.startswith(("=", "@", "+", "-")) for cell in row)
    found = json.loads(predict(str(folder), "--format", "json").stdout)
    assert {row["file"] for row in found} == {*HOSTILE, "\ufffd.png"}
    assert list(found[0]["probabilities"]) == ["=HYPERLINK(1)", "x\x1b[31m", "ok"]


def shaped() -> Iterator[tuple[str, dict[str, Any], Image.Image, np.ndarray]]:
    """An image, how train images were brought to the store, and what becomes of it, by Pillow alone."""
    wide = Image.fromarray(pixels("wide", (8, 24)))
    yield "crop", {"fit": "crop"}, wide, np.asarray(wide.crop((8, 0, 16, 8)))
    canvas = Image.new("RGB", (24, 24))
    canvas.paste(wide, (0, 8))
    deep = np.arange(64, dtype=np.uint16).reshape(8, 8) * 65
    levels = np.rint(np.clip(deep / 4095, 0, 1) * 255).astype(np.uint8)
    yield "levels", {"levels": {"low": 0.0, "high": 4095.0}}, Image.fromarray(deep), np.dstack([levels] * 3)
    plain = np.rint(deep / 65535 * 255).astype(np.uint8)
    yield "no levels known", {}, Image.fromarray(deep), np.dstack([plain] * 3)
    grey = Image.fromarray(pixels("grey")[..., 0])
    yield "grey for a network of colours", {}, grey, np.dstack([np.asarray(grey)] * 3)
    colours = Image.fromarray(pixels("colours"))
    yield "colour for a network of grey", {"channels": 1}, colours, np.asarray(colours.convert("L"))[..., None]
    yield (
        "colour as ingest makes it grey",
        {"channels": 1, "colour": "L"},
        colours,
        np.asarray(colours.convert("L"))[..., None],
    )


@pytest.mark.parametrize(("images_", "image", "expected"), [pytest.param(*rest, id=name) for name, *rest in shaped()])
def test_images_are_brought_to_what_the_network_learnt(
    project: Path, tmp_path: Path, images_: dict[str, Any], image: Image.Image, expected: np.ndarray
) -> None:
    network = ship(project / "classifier", **images_)
    image.save(tmp_path / "one.png")
    (row,) = read_csv(predict(str(tmp_path / "one.png")).stdout).values()
    np.testing.assert_allclose(
        [float(row[f"p_{n}"]) for n in ("cat", "dog", "owl")], plain(network, expected), atol=2e-6
    )


def test_what_is_no_longer_what_classify_wrote_is_refused(project: Path, tmp_path: Path) -> None:
    folder, model = images(tmp_path / "any"), project / "classifier"
    assert "run `dvc repro classify` first" in predict(str(folder), code=2).stderr
    ship(model)
    card = json.loads((model / "classifier.json").read_text())
    (model / "classifier.json").write_text(json.dumps(card | {"classes": ["dog", "cat", "owl"]}))
    assert "edited since classify" in predict(str(folder), code=2).stderr
    ship(model)
    weights = model / "classifier.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\1\2\3\4")
    assert "not the weights that its card describes" in predict(str(folder), code=2).stderr


def test_the_users_own_network_and_one_that_changed(project: Path, tmp_path: Path, monkeypatch: Any) -> None:
    from pipeline.classifier.architectures import build, fingerprint
    from pipeline.classifier.shipped import save_shipped
    from pipeline.params import ClassifyParams

    code = "from torch import nn\ndef make(k, c, s): return nn.Sequential(nn.Flatten(), nn.Linear(c * s * s, k))\n"
    (project / "ownnet.py").write_text(code)
    params = ClassifyParams(classifier="ownnet:make")
    network = build(params, project, 3, 3, 8, seed=0)
    card: dict[str, Any] = {
        "classes": ["cat", "dog", "owl"],
        "images": {
            "image_size": 8,
            "channels": 3,
            "colour": "auto",
            "fit": "crop",
            "grey_range": "auto",
            "levels": None,
        },
        "architecture": {"classifier": "ownnet:make", "width": 16, "module": fingerprint(params, project)},
        "logit_offsets": [0.0] * 3,
    }
    save_shipped(project / "elsewhere", network, card, [])
    folder = images(tmp_path / "any", NAMES[:1])
    (row,) = read_csv(predict(str(folder), "--model", "elsewhere").stdout).values()
    assert float(row["p_dog"]) == pytest.approx(plain(network.eval(), pixels(NAMES[0]))[1], abs=2e-6)
    (project / "ownnet.py").write_text(code + "# another\n")
    assert (
        "not the one that the classifier was trained with"
        in predict(str(folder), "--model", "elsewhere", code=2).stderr
    )
