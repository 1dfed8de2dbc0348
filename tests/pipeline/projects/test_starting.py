"""``augmint init``: the project that a new user gets, held against what lies in the folder and what DVC makes of it."""

import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from dvc.repo import Repo
from ruamel.yaml import YAML

from pipeline.cli import main
from pipeline.params import Params, load_params
from pipeline.stages import ingest
from pipeline.store import Store
from pipeline.workspace import Workspace
from tests.pipeline.projects.conftest import FRUIT, make_folder

FILES = {"params.yaml", "dvc.yaml", "prefect.yaml", "README.md", ".gitignore", ".dvcignore"}
ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.usefixtures("quick")


def init(*words: str | Path, code: int = 0) -> Result:
    """Runs ``augmint init``, which has to end so."""
    result = CliRunner().invoke(main, ["init", *map(str, words)])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """The fruit."""
    return make_folder(tmp_path / "fruit")


def every_file(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_project_is_written_that_dvc_and_ingest_take_as_it_is(tmp_path: Path, images: Path) -> None:
    before = every_file(images)
    said = init(tmp_path / "study", "--images", images).output
    study = tmp_path / "study"
    assert {p.name for p in study.iterdir()} == FILES | {".dvc"}
    assert every_file(images) == before  # read where they are; nothing is copied
    params = load_params(study / "params.yaml")
    assert (params.data.source, params.data.path, params.data.image_size) == ("folder", "../fruit", 12)
    with Repo(str(study)) as repo:  # templating included
        assert [stage.name for stage in repo.index.stages] == ["ingest", "train", "evaluate", "export", "classify"]
        assert "../fruit" in [dep.def_path for dep in repo.index.stages[0].deps]
    ingest.run(params, Workspace(study))
    store = Store.open(Workspace(study).store)
    for split in ("train", "val", "test"):  # what was told is what came
        row = next(line for line in said.splitlines() if line.startswith("│ all"))
        told = dict(zip(("train", "val", "test"), map(int, row.replace("│", " ").split()[1:]), strict=True))
        assert len(store.split(split)) == told[split]
    for told in ("130 images of 3 classes, colour", "apple", "`dvc repro` will take about", "MiB of memory", "next: "):
        assert told in said


def test_every_key_stands_there_once_with_a_comment_and_choices_with_a_reason(tmp_path: Path, images: Path) -> None:
    init(tmp_path / "study", "--images", images)
    text = (tmp_path / "study" / "params.yaml").read_text(encoding="utf-8")
    content = YAML(typ="safe").load(text)

    def keys(tree: dict) -> set[str]:
        return {k for k, v in tree.items() if not isinstance(v, dict)} | {
            f"{k}.{inner}" for k, v in tree.items() if isinstance(v, dict) for inner in (keys(v) or {""})
        }

    assert keys(content) == keys(load_params(tmp_path / "study" / "params.yaml").model_dump(mode="json"))
    lines = text.splitlines()
    for key in ("image_size", "recipe", "kimg", "val_fraction", "seeds", "steps", "balance", "force"):
        found = [
            n for n, line in enumerate(lines) if line.startswith(f"  {key}:") and lines[n + 1].lstrip()[:3] == "# →"
        ]
        assert found, key
    assert all("#" in line + lines[n + 1] for n, line in enumerate(lines[:-1]) if ":" in line and line[-1:] != ":")
    assert "for the demo" not in text
    assert max(map(len, lines)) <= 120


def test_a_dry_run_shows_all_and_writes_nothing(tmp_path: Path, images: Path) -> None:
    shown = init(tmp_path / "study", "--images", images, "--dry-run").output
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fruit"]
    for told in (
        "# params.yaml (would be written)",
        "image_size: 12",
        "cmd: augmint ingest",
        "entrypoint: pipeline.flows",
    ):
        assert told in shown


def test_a_second_run_overwrites_nothing_and_says_what_differs(tmp_path: Path, images: Path) -> None:
    study = tmp_path / "study"
    init(study, "--images", images)
    before = every_file(study)
    assert "all files are there already" in init(study, "--images", images).output
    assert every_file(study) == before
    params = study / "params.yaml"
    params.write_text(params.read_text().replace("image_size: 12", "image_size: 16"))
    (study / "README.md").write_text("mine\n")
    (study / "prefect.yaml").unlink()
    said = init(study, "--images", images, code=1).output
    assert "data.image_size: 16 here, 12 proposed" in said
    assert "-mine" in said
    assert "wrote prefect.yaml" in said
    assert params.read_text().count("image_size: 16") == 1
    assert (study / "README.md").read_text() == "mine\n"


@pytest.mark.parametrize("where", [".", "sub"])
def test_a_repository_of_git_gets_nothing_staged_and_nothing_changed(tmp_path: Path, images: Path, where: str) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=repository, check=True, capture_output=True, text=True).stdout

    git("init", "-q")
    (repository / ".gitignore").write_text("mine\n")
    git("add", ".gitignore")
    git("-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "-qm", "mine")
    init(repository / where, "--images", images, code=0 if where == "sub" else 1)  # .gitignore is the user's
    assert git("diff", "--cached", "--name-only") == git("diff", "--name-only") == ""
    if where == "sub":
        assert git("status", "--porcelain").split() == ["??", "sub/"]
    with Repo(str(repository / where)) as repo:
        assert repo.scm.root_dir == str(repository)


def test_without_git_dvc_runs_without_it(tmp_path: Path, images: Path) -> None:
    init(tmp_path / "study", "--images", images)
    with Repo(str(tmp_path / "study")) as repo:
        assert repo.config["core"]["no_scm"]


def test_a_folder_that_git_ignores_runs_without_it(tmp_path: Path, images: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text("study/\n")
    init(tmp_path / "study", "--images", images)
    with Repo(str(tmp_path / "study")) as repo:
        assert repo.config["core"]["no_scm"]


def test_size_and_minutes_are_as_asked_and_said_so(tmp_path: Path, images: Path) -> None:
    said = init(tmp_path / "study", "--images", images, "--size", "32", "--minutes", "5").output
    params = load_params(tmp_path / "study" / "params.yaml")
    assert params.data.image_size == 32
    assert params.train.kimg == 30  # at ten seconds each
    assert "most images are enlarged" in said


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda root: root / "nothing", "no such file or folder; give a folder"),
        (lambda root: make_folder(root / "one", {"apple": 30}), "images of one class alone"),
        (lambda root: make_folder(root / "few", {"apple": 30, "pear": 1}), "class 'pear'"),
        (lambda root: make_folder(root / "study" / "data", FRUIT).parent, "hold"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_written(tmp_path: Path, make, told: str) -> None:
    path = make(tmp_path)
    result = init(tmp_path / "study", "--images", path, code=2)
    assert told in result.stderr
    assert "Traceback" not in result.stderr and "data.path: data.path" not in result.stderr
    assert not (tmp_path / "study" / "params.yaml").exists()


def test_the_templates_are_this_repositorys_own_files() -> None:
    """One of each: who changes the pipeline changes what users get."""
    for name, root in (("stages", "dvc"), ("deployments", "prefect"), ("params", "params")):
        template = (ROOT / "pipeline" / "projects" / "templates" / f"{name}.yaml").read_text(encoding="utf-8")
        assert template == (ROOT / f"{root}.yaml").read_text(encoding="utf-8"), f"copy {root}.yaml to {name}.yaml"


def test_the_defaults_are_the_models(tmp_path: Path, images: Path) -> None:
    """What init does not choose is as in pipeline/params/, the one place for defaults."""
    init(tmp_path / "study", "--images", images)
    params, default = load_params(tmp_path / "study" / "params.yaml"), Params()
    assert params.evaluate == default.evaluate
    assert params.export.filters == default.export.filters
    assert params.classify.bootstrap == default.classify.bootstrap


def test_names_of_all_kinds_change_nothing_but_themselves(tmp_path: Path) -> None:
    """Folders, files and classes that are called as YAML, Markdown or a terminal would act on."""
    images = make_folder(
        tmp_path / "pho: #to`s|\x1b[31m\x85",
        {"- <b>a</b>": 40, "*b|": 40},
        lambda number: f"p\x9b{number // 4}_{number % 4}.png",
    )
    study = tmp_path / "st\nu #dy: 'x'"
    said = init(study, "--images", images).output
    assert "\x1b" not in said and "\x9b" not in said
    data = load_params(study / "params.yaml").data
    assert (study / data.path).resolve() == images.resolve()
    assert data.group_pattern  # its reason names two of the files
    YAML(typ="safe").load((study / "prefect.yaml").read_text(encoding="utf-8"))
    with Repo(str(study)) as repo:
        assert len(repo.index.stages) == 5
    readme = (study / "README.md").read_text(encoding="utf-8")
    assert "<b>" not in readme and "\x1b" not in readme


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    images = make_folder(tmp_path / "fr\udcffuit")
    assert "not UTF-8" in init(tmp_path / "study", "--images", images, code=2).stderr
