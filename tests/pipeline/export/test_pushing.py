"""Sets pushed to an address: all of one or none, nothing sent twice, and the last good one kept."""

import json
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest
from click.testing import CliRunner, Result

from gan.files import sha256
from pipeline.cli import main
from pipeline.errors import BusyError, UserError
from pipeline.export.pushed import verify_pushed
from pipeline.export.pushing import push
from pipeline.remote import place
from pipeline.stages.export import run
from tests.pipeline.export_project import contents, make, params
from tests.s3_server import S3, SECRET


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two sets of one project; the second has one image more of a class."""
    found = {}
    for name, count in (("one", 7), ("two", 8)):
        workspace = make(tmp_path_factory.mktemp("push") / name)
        run(params(balance=0, classes={"cup": count, "tail": 4}), workspace)
        found[name] = workspace.synthetic
    return found


@pytest.fixture
def bucket(s3: S3, request: pytest.FixtureRequest) -> str:
    """The name of a bucket of the test's own."""
    name = f"b{abs(hash(request.node.nodeid))}"
    s3.bucket(name)
    return name


def current(s3: S3, bucket: str) -> dict[str, bytes]:
    """What a reader finds who asks for the current set: none, or all of one."""
    objects = s3.content(bucket)
    if "sets/current.json" not in objects:
        return {}
    folder = json.loads(objects["sets/current.json"])["folder"]
    return {
        key.removeprefix(f"sets/{folder}/"): value
        for key, value in objects.items()
        if key.startswith(f"sets/{folder}/")
    }


def sent(s3: S3) -> int:
    return sum(count for request, count in s3.asked.items() if request.startswith(("PUT", "POST")))


def augmint(*args: str) -> Result:
    return CliRunner().invoke(main, list(args))


def test_a_set_is_pushed_once_and_verified_where_it_lies(s3: S3, bucket: str, sets: dict[str, Path]) -> None:
    url = f"s3://{bucket}/sets/"
    s3.calm()
    result = augmint("push", url, "--folder", str(sets["one"]))
    assert result.exit_code == 0, result.output
    assert current(s3, bucket) == contents(sets["one"])
    pushed = sent(s3)
    assert pushed == len(contents(sets["one"])) + 1
    result = augmint("push", url, "--folder", str(sets["one"]))
    assert sent(s3) == pushed  # nothing was sent again
    assert f"{pushed - 1} files, 0 sent" in result.output
    result = augmint("verify", url)
    assert result.exit_code == 0, result.output
    assert f"s3://{bucket}/sets/: 6 images as they were written, none made again" in result.output
    assert augmint("verify", f"s3://{bucket}/sets/{sha256(sets['one'] / 'SHA256SUMS')[:16]}").exit_code == 0


def broken(s3: S3, bucket: str, number: int) -> Callable[[str], None]:
    """The connection is lost for good at the PUT of this number."""
    puts = iter(range(1, 10_000))

    def fail(request: str) -> None:
        if request.startswith("PUT") and next(puts) >= number:
            s3.throttled["PUT"] = 10_000

    return fail


@pytest.mark.parametrize("number", [4, -2, -1])
def test_a_push_that_breaks_off_leaves_the_last_set_and_goes_on(
    s3: S3, bucket: str, sets: dict[str, Path], number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "CONNECTIONS", 1)
    url, files = f"s3://{bucket}/sets", len(contents(sets["two"]))
    push(sets["one"], url)
    s3.calm()
    s3.before = broken(s3, bucket, number if number > 0 else files + 1 + number)
    with pytest.raises(BusyError, match="SlowDown") as caught:
        push(sets["two"], url)
    assert caught.value.exit_code == 75
    assert current(s3, bucket) == contents(sets["one"])
    sums = [key for key in s3.content(bucket) if key.endswith("SHA256SUMS")]
    assert len(sums) == (2 if number == -1 else 1)  # a folder without is no set
    assert not verify_pushed(url, 0).problems
    s3.calm()
    push(sets["two"], url)
    assert current(s3, bucket) == contents(sets["two"])
    assert sent(s3) < files
    assert not verify_pushed(url, 0).problems


def test_an_interrupted_first_push_is_no_set(
    s3: S3, bucket: str, sets: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"s3://{bucket}/sets"
    put = place.Place.ask

    def interrupted(self: place.Place, call: Callable[[], object]) -> object:
        if sent(s3) >= 3:
            raise KeyboardInterrupt
        return put(self, call)

    s3.calm()
    monkeypatch.setattr(place, "CONNECTIONS", 1)
    with monkeypatch.context() as patch:
        patch.setattr(place.Place, "ask", interrupted)
        result = augmint("push", url, "--folder", str(sets["one"]))
    assert result.exit_code == 130
    assert current(s3, bucket) == {}
    result = augmint("verify", url)
    assert result.exit_code == 1
    assert "no set was pushed whole here" in result.output
    s3.calm()
    push(sets["one"], url)
    assert sent(s3) == len(contents(sets["one"])) + 1 - 3
    assert current(s3, bucket) == contents(sets["one"])


@pytest.mark.parametrize("loss", ["an image", "the sums", "an image that is another", "the pointed-at", "the pointer"])
def test_what_was_lost_there_is_found_and_brought_back(s3: S3, bucket: str, sets: dict[str, Path], loss: str) -> None:
    url = f"s3://{bucket}/sets"
    push(sets["one"], url)
    inner = f"sets/{sha256(sets['one'] / 'SHA256SUMS')[:16]}"
    image = next(key for key in s3.content(bucket) if key.endswith(".png"))
    if loss == "an image that is another":
        s3.client.put_object(Bucket=bucket, Key=image, Body=s3.content(bucket)[image][::-1])
    elif loss == "the pointer":
        s3.client.put_object(Bucket=bucket, Key="sets/current.json", Body=b'{"folder": "../../etc"}')
    else:
        keys = {"an image": [image], "the sums": [f"{inner}/SHA256SUMS"]}.get(loss)
        for key in keys or [key for key in s3.content(bucket) if key.startswith(inner)]:
            s3.client.delete_object(Bucket=bucket, Key=key)
    result = augmint("verify", url, "--sample", "0")
    assert result.exit_code == 1, result.output
    push(sets["one"], url)
    assert augmint("verify", url, "--sample", "0").exit_code == 0
    assert current(s3, bucket) == contents(sets["one"])


def test_tags_that_are_no_digests_are_not_believed(
    s3: S3, bucket: str, sets: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a store that encrypts: then sizes decide, and one file is read."""
    url = f"s3://{bucket}/sets"
    push(sets["one"], url)
    monkeypatch.setattr("pipeline.remote.comparing._digests", lambda file: {"0" * 32})
    s3.calm()
    assert push(sets["one"], url).sent == 0
    assert sent(s3) == 0


def test_what_cannot_be_pushed(
    s3: S3, bucket: str, sets: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for url, told in [
        (f"s3://key:{SECRET}@{bucket}/sets", "has a password in it"),
        ("s3://nosuchbucket/sets", "there is no bucket nosuchbucket; mend the address"),
        ("hf://datasets/o/s", "hf upload OWNER/NAME"),
        (str(sets["one"] / "images"), "lies in the set itself"),
    ]:
        result = augmint("push", url, "--folder", str(sets["one"]))
        assert (result.exit_code, SECRET in result.output) == (2, False), result.output
        assert told in result.output
    image = next((sets["two"]).rglob("*.png"))
    whole = image.read_bytes()
    image.write_bytes(whole[:-1])
    with pytest.raises(UserError, match="not the set that was written, so it is not pushed"):
        push(sets["two"], f"s3://{bucket}/sets")
    image.write_bytes(whole)
    assert s3.content(bucket) == {}
    s3.client.put_object(Bucket=bucket, Key=f"sets/{sha256(sets['two'] / 'SHA256SUMS')[:16]}/metadata.csv", Body=b"a")
    with pytest.raises(UserError, match=r"metadata\.csv is no part of the set"):
        push(sets["two"], f"s3://{bucket}/sets")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAWRONG")
    result = augmint("push", f"s3://{bucket}/sets", "--folder", str(sets["one"]))
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    assert result.exit_code == 2
    assert "access is refused" in result.output
    assert SECRET not in result.output


@pytest.mark.parametrize("form", ["memory://sets", "{folder}", "file://{folder}"])
def test_other_places_whose_files_grow_as_they_are_written(
    sets: dict[str, Path], form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = form.format(folder=tmp_path / "a b" / "sets")
    monkeypatch.setattr(place, "PAUSES", ())
    files = place.Place.open(url, "test").files
    put, done = type(files).put_file, []

    def half(self: object, local: str, to: str, **more: object) -> None:
        done.append(to)
        if len(done) == 3:
            self.pipe_file(to, Path(local).read_bytes()[:5])  # type: ignore[attr-defined]
            raise OSError("the line is dead")
        put(self, local, to, **more)

    with monkeypatch.context() as patch:
        patch.setattr(type(files), "put_file", half)
        with pytest.raises(BusyError, match="the line is dead"):
            push(sets["one"], url)
    total = len(contents(sets["one"]))
    assert verify_pushed(url).problems
    assert total - 4 <= push(sets["one"], url).sent <= total - 2  # the half one, and all that came after it
    assert push(sets["one"], url).sent == 0
    assert not verify_pushed(url).problems
    result = augmint("verify", url)
    assert result.exit_code == 0, result.output
    if form.startswith("memory"):
        files.rm("/sets", recursive=True)
    else:
        folder = next(path for path in (tmp_path / "a b" / "sets").iterdir() if path.is_dir())
        assert contents(folder) == contents(sets["one"])
