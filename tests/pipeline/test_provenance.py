"""The synthetic-media mark: written by us, read by us and by others."""

import io
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.formats.encoding import Encoding, encode
from pipeline.params import ExportParams, Params, TrainParams
from pipeline.provenance import SHALLOW, SOURCE_TYPE, Mark, params_hash, read_mark, revision, set_params

MARK = Mark("ab" * 32, "Tür <b> & \"quote\" 'x'", 17, 2**62 + 5)
ENCODINGS = ("png", "jpeg", "webp", "webp-lossless")
XML_TEXT = st.text(st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff"))


def picture(channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (channels, 8, 8), dtype=np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", ENCODINGS)
def test_the_mark_is_read_back_from_every_kind_of_file(tmp_path: Path, name: str, channels: int) -> None:
    path = tmp_path / "image"
    path.write_bytes(encode(picture(channels), Encoding(name), MARK.xmp()))
    assert read_mark(path) == MARK


@given(XML_TEXT, st.integers(0, 2**40), st.integers(0, 2**63 - 1), st.floats(0, 1, exclude_min=True))
def test_any_label_comes_through(label: str, index: int, seed: int, truncation: float) -> None:
    mark = Mark("0" * 64, label, index, seed, truncation)
    file = io.BytesIO(encode(picture(), Encoding(), mark.xmp()))
    assert read_mark(file) == mark  # type: ignore[arg-type]


def test_element_form_is_read_too(tmp_path: Path) -> None:
    packet = f"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
    <r:Description xmlns:i="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"><i:DigitalSourceType>{SOURCE_TYPE}</i:DigitalSourceType>
    </r:Description><r:Description xmlns:o="urn:augmint:xmp:1#"><o:Generator>g</o:Generator><o:Class>c</o:Class>
    <o:Index>3</o:Index><o:Seed>4</o:Seed></r:Description></r:RDF></x:xmpmeta>"""
    path = tmp_path / "image.png"
    path.write_bytes(encode(picture(), Encoding(), packet))
    assert read_mark(path) == Mark("g", "c", 3, 4)


@pytest.mark.parametrize(
    "packet",
    [
        None,
        "not xml <",
        "<a/>",
        MARK.xmp().replace("trainedAlgorithmicMedia", "digitalCapture"),
        MARK.xmp().replace('Index="17"', 'Index="x"'),
    ],
)
def test_no_mark_where_there_is_none_of_ours(tmp_path: Path, packet: str | None) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(encode(picture(), Encoding(), packet))
    assert read_mark(path) is None


def test_what_is_not_an_image_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image")
    for name in ("text.png", "missing.png"):
        with pytest.raises(UserError, match=name):
            read_mark(tmp_path / name)


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
def test_exiftool_reads_the_mark(tmp_path: Path) -> None:
    paths = []
    for name in ENCODINGS:
        paths.append(tmp_path / f"{name}.{Encoding(name).extension}")
        paths[-1].write_bytes(encode(picture(), Encoding(name), MARK.xmp()))
    tags = ["XMP-iptcExt:DigitalSourceType", "XMP:Generator", "XMP:Class", "XMP:Index"]
    command = ["exiftool", "-n", "-q", "-s3", *(f"-{tag}" for tag in tags), *map(str, paths)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line for line in told if not line.startswith("=")] == [SOURCE_TYPE, MARK.generator, MARK.label, "17"] * 4


def test_the_hash_of_params_follows_what_a_set_depends_on() -> None:
    base = params_hash(set_params(Params()))
    assert len(base) == 64 and base == params_hash(set_params(Params(train=TrainParams(kimg=3))))
    assert (
        len(
            {
                base,
                params_hash(set_params(Params(seed=1))),
                params_hash(set_params(Params(export=ExportParams(quality=90)))),
                params_hash(set_params(Params(export=ExportParams(truncation=0.7)))),
            }
        )
        == 4
    )


def test_no_truncation_leaves_no_trace() -> None:
    """Sets and their marks are the bytes that they were before there was any."""
    assert "truncation" not in str(set_params(Params(export=ExportParams(truncation=1.0))))
    assert "Truncation" not in Mark("g", "c", 3, 4, 1.0).xmp()


def git(folder: Path, *arguments: str) -> str:
    """What Git answers, as an author of its own."""
    identity = ["-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false"]
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def commit_all(folder: Path) -> str:
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "a change")
    return git(folder, "rev-parse", "HEAD")


def test_the_revision_is_the_commit_and_says_when_files_differ(tmp_path: Path) -> None:
    assert revision(tmp_path) is None
    git(tmp_path, "init", "-q")
    assert revision(tmp_path) is None
    (tmp_path / "params.yaml").write_text("seed: 0\n")
    commit = commit_all(tmp_path)
    (tmp_path / "new").write_text("untracked\n")
    assert revision(tmp_path) == commit
    (tmp_path / "params.yaml").write_text("seed: 1\n")
    assert revision(tmp_path) == commit + "-dirty"


def test_what_a_run_writes_does_not_change_the_revision(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "params.yaml").write_text("seed: 0\n")
    commit = commit_all(tmp_path)
    (tmp_path / "metrics").mkdir()
    for name in ("dvc.lock", "metrics/quality.json"):
        (tmp_path / name).write_text("1\n")
    assert commit_all(tmp_path) != commit
    (tmp_path / "dvc.lock").write_text("2\n")
    assert revision(tmp_path) == commit


@pytest.mark.parametrize(
    "content",
    [
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\nshowpage\n",
        b"II*\0\x08\0\0\0\0\0\0\0\0\0",
        b"GIF89a\1\0\1\0\0\0\0;",
        b"",
    ],
)
def test_only_formats_that_are_written_are_opened(content: bytes, recwarn: pytest.WarningsRecorder) -> None:
    with pytest.raises(UserError, match="not an image that can be read"):
        read_mark(io.BytesIO(content))
    assert not recwarn.list


def history(folder: Path) -> list[str]:
    """A repository with a commit of inputs, one that changes them, and one of results alone; the first two."""
    folder.mkdir()
    git(folder, "init", "-q")
    commits = []
    for seed in range(2):
        (folder / "params.yaml").write_text(f"seed: {seed}\n")
        commits.append(commit_all(folder))
    (folder / "dvc.lock").write_text("1\n")
    commit_all(folder)
    return commits


@pytest.mark.parametrize(("depth", "known"), [(1, False), (2, False), (3, True)])
def test_a_shallow_clone_says_so_where_its_history_ends_too_early(tmp_path: Path, depth: int, known: bool) -> None:
    """Depth 2 ends with the commit that was looked for, and cannot tell whether that one changed a thing."""
    commits = history(tmp_path / "whole")
    git(tmp_path, "clone", "-q", f"--depth={depth}", (tmp_path / "whole").as_uri(), "clone")
    (tmp_path / "clone" / "params.yaml").write_text("seed: 7\n")
    assert revision(tmp_path / "clone") == (f"{commits[1]}-dirty" if known else SHALLOW)
    assert revision(tmp_path / "whole") == commits[1]


def test_a_worktree_a_subfolder_and_a_submodule_have_their_own_revision(tmp_path: Path) -> None:
    commits = history(tmp_path / "whole")
    git(tmp_path / "whole", "worktree", "add", "-q", str(tmp_path / "tree"), commits[0])
    assert revision(tmp_path / "tree") == commits[0]
    outer = tmp_path / "outer"
    (outer / "sub").mkdir(parents=True)
    git(outer, "init", "-q")
    (outer / "sub" / "params.yaml").write_text("seed: 0\n")
    inside = commit_all(outer)
    (outer / "notes").write_text("x")
    commit_all(outer)
    assert revision(outer / "sub") == inside
    git(outer, "-c", "protocol.file.allow=always", "submodule", "add", "-q", (tmp_path / "whole").as_uri(), "module")
    commit_all(outer)
    assert revision(outer / "module") == commits[1]


def test_a_hook_of_another_repository_a_broken_one_and_no_git_are_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = history(tmp_path / "whole")
    for elsewhere in ("nowhere", ".git"):
        monkeypatch.setenv("GIT_DIR", elsewhere)
        monkeypatch.setenv("GIT_INDEX_FILE", "nowhere/index")
        assert revision(tmp_path / "whole") == commits[1]
    (tmp_path / "whole" / ".git" / "HEAD").write_text("ref: refs/heads/gone\n")
    assert revision(tmp_path / "whole") is None
    (tmp_path / "whole" / ".git" / "HEAD").write_bytes(b"\xff")
    assert revision(tmp_path / "whole") is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert revision(tmp_path / "whole") is None
    assert revision(tmp_path / "missing") is None
