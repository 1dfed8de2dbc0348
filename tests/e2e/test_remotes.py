"""Two clones and a DVC remote between them, and images in a store that DVC or a stage of ours watches."""

import contextlib
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from dvc.cli import main as dvc_main

from pipeline.projects.rendering import dvc_yaml
from pipeline.projects.writing import dvc_watches
from tests.e2e.conftest import REPOSITORY, Project
from tests.e2e.test_pipeline import OUTPUTS, augmint, ran
from tests.s3_server import KEY, S3, SECRET

Dvc = Callable[..., list[str]]


@pytest.fixture
def dvc(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Dvc:
    """Runs a command of DVC's in this process, as its start takes longer than most of its work; the stages it ran."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")

    def run(project: Project, *arguments: str) -> list[str]:
        caplog.clear()
        with contextlib.chdir(project.root):
            assert dvc_main(list(arguments)) == 0, caplog.text
        return ran("\n".join(caplog.messages))

    return run


@pytest.mark.parametrize(("kind", "stages"), [("folder", []), ("s3", ["ingest", "train"])])
def test_what_one_clone_pushed_another_pulls_and_runs_nothing(
    kind: str, stages: list[str], finished: Project, s3: S3, dvc: Dvc, tmp_path: Path
) -> None:
    one, two = Project(tmp_path / "one"), Project(tmp_path / "two")
    shutil.copytree(finished.root, one.root, symlinks=True)
    url = str(tmp_path / "shelf") if kind == "folder" else f"{s3.bucket('shelf')}/augmint"
    dvc(one, "remote", "add", "--default", "shelf", url)
    if kind == "s3":
        dvc(one, "remote", "modify", "shelf", "endpointurl", s3.url)
    one.run("git", "add", "-A")
    one.run("git", "commit", "-qm", "Finished, with a remote")
    dvc(one, "push", *stages)
    one.run("git", "clone", "-q", ".", str(two.root))
    assert not (two.root / "models").exists()
    dvc(two, "pull", *stages)
    assert dvc(two, "repro", *stages) == []
    outputs = ("data/store", "models", "plots/train", "metrics") if stages else OUTPUTS
    assert two.bytes_of(*outputs) == one.bytes_of(*outputs)
    two.edit("data", image_size=9)
    assert dvc(two, "repro", "--dry", "ingest") == ["ingest"]  # it would be seen if something ran
    if kind == "s3":
        assert all(key.startswith("augmint/files/md5/") for key in s3.content("shelf"))
        assert not any(secret in (two.root / ".dvc" / "config").read_text() for secret in (KEY, SECRET))


@pytest.mark.parametrize("scheme", ["s3", "s3a"])
def test_ingest_runs_again_when_another_set_lies_at_the_address(
    scheme: str, finished: Project, s3: S3, dvc: Dvc, tmp_path: Path
) -> None:
    """DVC itself asks s3://; it does not know s3a://, which stands here for all that it does not."""
    project, bucket = Project(tmp_path / "project"), f"images-{scheme}"
    shutil.copytree(finished.root, project.root, symlinks=True)
    digits = (REPOSITORY / "data" / "digits.zip").read_bytes()
    url = f"{scheme}://{bucket}/set/digits.zip"
    s3.bucket(bucket, **{"set/digits.zip": digits})
    project.edit("data", path=url)
    asks = ["look"] if scheme == "s3a" else []
    assert dvc_watches(url) == (not asks)
    (project.root / "dvc.yaml").write_text(dvc_yaml(dvc_watches(url)), encoding="utf-8")

    def would_run() -> list[str]:
        """What `dvc repro` runs now; the stage that asks is run here, as a program of its own takes longer."""
        if asks:
            assert augmint(project, "look").exit_code == 0
        return dvc(project, "repro", "--dry", "ingest")

    assert would_run() == [*asks, "ingest"]
    dvc(project, "commit", "--force", *asks, "ingest")
    assert would_run() == asks
    s3.client.put_object(Bucket=bucket, Key="set/digits.zip", Body=digits)  # the same, written later
    assert would_run() == asks
    s3.client.put_object(Bucket=bucket, Key="set/digits.zip", Body=digits[::-1])
    assert would_run() == [*asks, "ingest"]
    written = (project.root / "dvc.lock").read_text()
    assert (KEY in written, SECRET in written) == (False, False)
