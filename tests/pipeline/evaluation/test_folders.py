"""Two folders brought to arrays that can be compared."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import UserError
from pipeline.evaluation.folders import Folder, decoded
from pipeline.formats.manifest import MANIFEST, About, ManifestWriter
from pipeline.ingest.decode import FURTHER
from pipeline.params import Params
from pipeline.provenance import set_params
from tests.pipeline.image_files import saved

SIZE = 16


def folder(root: Path, make: object, suffix: str = "png", count: int = 4) -> Path:
    for label in ("a", "b"):
        (root / label).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            content = make(100 * ord(label) + index)  # type: ignore[operator]
            (root / label / f"{index}.{suffix}").write_bytes(content)
    return root


def noise(seed: int, top: int, kind: type = np.uint16) -> np.ndarray:
    values = np.random.default_rng(seed).integers(0, top + 1, (SIZE, SIZE)).astype(kind)
    values[0, 0] = top
    return values


def arrays(*paths: Path) -> tuple[list[np.ndarray], list[str]]:
    notes: list[str] = []
    folders = [Folder.open(f"--{name}", path) for name, path in zip(("real", "fake"), paths, strict=False)]
    with decoded(folders, SIZE, notes) as images:
        return [np.array(part.images) for part in images], notes


def test_deep_grey_images_go_by_one_range_of_all_folders(tmp_path: Path) -> None:
    """The fake ones are darker: by a range of their own that could not be seen."""
    real = folder(tmp_path / "real", lambda seed: saved(noise(seed, 4000)))
    fake = folder(tmp_path / "fake", lambda seed: saved(noise(seed, 900)))
    (first, second), notes = arrays(real, fake)
    for images, path in ((first, real), (second, fake)):
        values = np.stack([np.asarray(Image.open(file), float) for file in sorted(path.rglob("*.png"))])
        assert np.abs(images[:, 0] - values * 255 / 4095).max() <= 0.51
    assert any("16 grey images of more than 8 bits: 0 became black and 4095 white" in note for note in notes)


@pytest.mark.parametrize("below", ["", "images", "images/train"])
def test_an_exported_set_says_by_which_range_it_was_made(tmp_path: Path, below: str) -> None:
    """The real images alone would give 0 to 1023; the set was made by a range of the user's own."""
    real = folder(tmp_path / "real", lambda seed: saved(noise(seed, 900)))
    fake = folder(tmp_path / "set" / below, lambda seed: saved(noise(seed, 100, np.uint8)))
    exported(tmp_path / "set", (0.0, 3000.0))
    (first, _), notes = arrays(real, fake)
    values = np.stack([np.asarray(Image.open(file), float) for file in sorted(real.rglob("*.png"))])
    assert np.abs(first[:, 0] - values * 255 / 3000).max() <= 0.51
    assert any("0 became black and 3000 white" in note for note in notes)


def test_two_exported_sets_of_different_ranges_are_not_compared(tmp_path: Path) -> None:
    for name, top in (("real", 3000.0), ("fake", 4095.0)):
        exported(folder(tmp_path / name, lambda seed: saved(noise(seed, 100, np.uint8))), (0.0, top))
    with pytest.raises(UserError, match=r"--real by 0 to 3000 and --fake by 0 to 4095: .*different ranges of grey"):
        arrays(tmp_path / "real", tmp_path / "fake")


def exported(root: Path, grey_range: tuple[float, float] | None) -> None:
    """Puts a manifest beside the images, as ``augmint export`` does."""
    params = set_params(Params())
    about = About(
        classes=("a", "b"),
        channels=1,
        image_size=SIZE,
        splits=("train",),
        seed=0,
        generator="0" * 64,
        params=params,
        overridden=(),
        augmint="0",
        grey_range=grey_range,
    )
    assert (b"grey_range" in about.dump()) == (grey_range is not None)
    assert About.load(about.dump()) == about
    with ManifestWriter(root / MANIFEST, about):
        pass


def test_8_bits_are_what_they_are_and_nothing_is_said(tmp_path: Path) -> None:
    real = folder(tmp_path / "real", lambda seed: saved(noise(seed, 100, np.uint8)))
    exported(real, None)
    (images,), notes = arrays(real)
    expected = np.stack([np.asarray(Image.open(file)) for file in sorted(real.rglob("*.png"))])
    np.testing.assert_array_equal(images[:, 0], expected)
    assert notes == []


def test_a_mix_of_depths_is_said(tmp_path: Path) -> None:
    real = folder(tmp_path / "real", lambda seed: saved(noise(seed, 4000)))
    fake = folder(tmp_path / "fake", lambda seed: saved(noise(seed, 200, np.uint8)))
    (_, second), notes = arrays(real, fake)
    assert second.max() == 200
    assert any("8 other images" in note for note in notes)


def test_further_frames_are_said(tmp_path: Path) -> None:
    frames = [Image.new("L", (SIZE, SIZE), level) for level in (10, 60, 90)]
    gif = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    _, notes = arrays(folder(tmp_path / "real", lambda _: gif, "gif"))
    assert f"--real: 16 {FURTHER} were passed over." in notes


def test_a_postscript_file_is_no_image_here_either(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    real = folder(tmp_path / "real", lambda seed: saved(noise(seed, 100, np.uint8)))
    (real / "a" / "0.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\nshowpage\n")
    assert Folder.open("--real", real).side == SIZE
    with pytest.raises(UserError, match=r"1 of 8 images cannot be read.*\n.*a/0.png: not an image"):
        arrays(real)
    assert not recwarn.list


def test_a_pipe_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = folder(tmp_path / "real", lambda seed: saved(noise(seed, 100, np.uint8)))
    opened: list[object] = []
    original = Image.open
    monkeypatch.setattr(Image, "open", lambda path, **kw: opened.append(path) or original(path, **kw))
    (real / "a" / "0.png").unlink()
    os.mkfifo(real / "a" / "0.png")
    assert Folder.open("--real", real).side == SIZE
    assert real / "a" / "0.png" not in opened
