"""Every command and snippet of the documents is run, or, where that cannot be, checked as far as it goes.

The pages are found, not listed, so a new one is covered. What is not run stands in :data:`NOT_RUN` with the reason.
"""

import configparser
import contextlib
import inspect
import io
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name
from typing import Any
from zipfile import ZipFile

import pytest
from click.testing import CliRunner
from dvc.cli import main as dvc
from PIL import Image
from prefect.events.schemas.automations import AutomationCore
from ruamel.yaml import YAML

from pipeline.cli import main
from pipeline.evaluation import standalone
from pipeline.params import DataParams, EvaluateParams, Params, load_params
from pipeline.sources import SOURCES
from tests.e2e.conftest import REPOSITORY, TINY, Project
from tests.pipeline.projects.conftest import quick
from tests.snippets import PAGES, SHELL, Block, blocks, commands, inline, links, problem

__all__ = ["quick"]  # a fixture: `init` measures nothing here

NOT_RUN = {
    "augmint study": "trains a generator a fold: tests/pipeline/flows/test_folds.py",
    "augmint serve": "starts servers, or asks one: tests/e2e/prefect",
    "dask": "a cluster: tests/pipeline/workers",
    "docker": "needs Docker, and minutes",
    "dvc pull": "needs a remote",
    "dvc repro --force": "minutes; the same bytes are asserted in test_pipeline.py",
    "make": "makes an environment of its own, and runs for minutes; .ci/run does",
    "pip": "installs: test_wheel.py",
    "prefect": "needs a server: tests/e2e/prefect",
    "ray": "a cluster: tests/pipeline/workers",
    "python benchmarks/verdict.py": "needs a set that is not in the repository, and hours",
}
"""How the commands begin that are parsed and not run, and why. An entry that no page needs any more fails a test."""

PARSED = ("augmint", "dvc", "make", "prefect", "python")
NO_ANSWER = {
    "augmint classify --require helps": "the tiny project's verdict is another",
    "augmint doctor": "this machine may be unfit",
}
"""Commands that may end with 1 here, and why."""

UNTRIED = {"nginx": "no nginx here", "text": "what the snippet before it prints, and compared with that"}
"""Languages of blocks that are neither run nor read, and why."""

BLOCKS = [block for page in PAGES for block in blocks(page)]
LINES = [command for block in BLOCKS if block.language in SHELL for command in commands(block.text)]


class Scene:
    """A folder in which the documents' examples lie: a finished project, and the images that they name.

    Attributes:
        root: the folder.
        home: of the user, whose shell files some commands change.
    """

    def __init__(self, finished: Project, root: Path) -> None:
        self.finished, self.root, self.home = finished, root, root.parent / "home"
        (self.home / ".config" / "fish" / "completions").mkdir(parents=True)
        shutil.copytree(finished.root, root, symlinks=True)
        with ZipFile(REPOSITORY / "data" / "digits.zip") as archive:
            for name in archive.namelist():
                number = int(Path(name).stem)
                part = ("photos/train", "photos/test", "drawn")[number % 3]
                if number < 900:  # enough for the figures, and quickly decoded
                    archive.extract(name, root / part)
        (root / "tiles").mkdir()
        for link, target in (("tiles/train", "../photos/train"), ("dataset", "photos")):
            (root / link).symlink_to(target)
        for name in ("main", "trial"):
            shutil.copytree(finished.root, root / name, symlinks=True)
        project = Project(root)
        project.run("git", "add", "-A")
        project.run("git", "commit", "-qm", "Finished")

    def run(self, block: Block) -> None:
        """Runs the commands of a shell block, one after the other, from the scene's folder."""
        with contextlib.chdir(self.root):
            for command in commands(block.text):
                self._command(command)
        shutil.rmtree(self.root / "study", ignore_errors=True)

    def execute(self, block: Block) -> str:
        """Runs a block of Python in the scene's folder, beside a finished ``study``; what it prints."""
        study, printed = self.root / "study", io.StringIO()
        study.symlink_to(self.root / "main")
        try:
            with contextlib.chdir(self.root), contextlib.redirect_stdout(printed):
                exec(compile(block.text, str(block), "exec"), {"__name__": "snippet"})
        finally:
            study.unlink()
        return printed.getvalue()

    def _command(self, command: str) -> None:
        program, _, rest = command.partition(" ")
        if program == "cd":
            os.chdir(rest)
            return
        written = program == "python" and Path(rest.split()[0]).is_file()  # by a command before it
        shell = ">" in command or program == "git" or written
        if program in PARSED and not shell:
            assert not problem(command), command
        if any(_begins(command, entry) for entry in NOT_RUN):
            return
        if shell:
            self._shell(command)
        elif program == "dvc":
            assert dvc(rest.split()) == 0, command
        else:
            assert program == "augmint", f"{command}: run it here, or say in NOT_RUN why not"
            self._augmint(command)

    def _augmint(self, command: str) -> None:
        done = CliRunner().invoke(main, shlex.split(command)[1:])
        assert done.exit_code in ({0, 1} if command in NO_ANSWER else {0}), f"{command}\n{done.output}"
        if command.startswith("augmint init study "):  # as if it had been run since: test_wheel.py does it
            assert (self.root / "study" / "params.yaml").is_file()
            shutil.rmtree(self.root / "study")
            shutil.copytree(self.finished.root, self.root / "study", symlinks=True)

    def _shell(self, command: str) -> None:
        environment = self.finished.environment | {"HOME": str(self.home)}
        subprocess.run(["bash", "-ec", command], cwd=Path.cwd(), env=environment, check=True)


@pytest.fixture(scope="module")
def scene(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(finished, tmp_path_factory.mktemp("docs") / "project")


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders are scored with few samples, by an embedder that has learnt little."""
    values = {key: value for key, value in dict(TINY["evaluate"]).items() if key != "gates"}
    monkeypatch.setattr(standalone, "EvaluateParams", lambda: EvaluateParams(**values))
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")


def _begins(command: str, entry: str) -> bool:
    return f"{command} ".startswith(f"{entry} ")


def of(*languages: str) -> pytest.MarkDecorator:
    """One test for each block of these languages."""
    return pytest.mark.parametrize("block", [block for block in BLOCKS if block.language in languages], ids=str)


@of(*SHELL)
def test_commands_run(block: Block, scene: Scene, quick: None) -> None:
    scene.run(block)


@of("python")
def test_python_runs_and_prints_what_the_page_says(block: Block, scene: Scene) -> None:
    printed = scene.execute(block)
    after = BLOCKS[(BLOCKS.index(block) + 1) % len(BLOCKS)]
    if after.language == "text":
        assert printed == after.text


@of("yaml")
def test_yaml_is_what_its_reader_takes(block: Block, scene: Scene, tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(block.text, encoding="utf-8")
    content = YAML(typ="safe").load(file)
    if set(content) <= set(Params.model_fields):
        load_params(file)
    elif "trigger" in content:
        AutomationCore.model_validate(content)
    elif "jobs" in content:
        for command in _steps(block):
            scene.run(Block(block.page, block.line, "", command))
    else:
        _fits_prefect_yaml(block, content)


def _fits_prefect_yaml(block: Block, content: dict[str, Any]) -> None:
    """It puts values in the place of those that prefect.yaml has, and adds steps that there are."""
    ours = YAML(typ="safe").load(REPOSITORY / "prefect.yaml")
    assert set(content) <= {*ours, "name", "pull"}, f"{block}: a reader of this is missing here"
    assert set(content.get("definitions", {})) <= set(ours["definitions"])
    for step in content.get("pull", []):
        for name, inputs in step.items():
            inspect.signature(resolve_name(name)).bind(**inputs)


def _steps(block: Block) -> Iterator[str]:
    """The commands of a workflow's steps."""
    content = YAML(typ="safe").load(block.text)
    for job in content.get("jobs", {}).values():
        for step in job["steps"]:
            yield from commands(step.get("run", ""))


@of("csv")
def test_a_table_is_read(block: Block, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(block.text, encoding="utf-8")
    for row in block.text.splitlines()[1:]:
        path = tmp_path / row.split(",")[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8)).save(path)
    listing = SOURCES["table"](DataParams(source="table", path=str(tmp_path)), tmp_path).listing
    assert len(listing) == len(block.text.splitlines()) - 1


@of("ini")
def test_a_unit_starts_a_command_that_there_is(block: Block) -> None:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(block.text)
    program, _, rest = unit["Service"]["ExecStart"].partition(" ")
    assert not problem(f"{Path(program).name} {rest}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_sentences_are_known(page: Path) -> None:
    assert not [(command, wrong) for command in inline(page) if (wrong := problem(command, whole=False))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    assert not [str(target) for target in links(page) if not target.exists()]


def test_images_that_the_recipes_name_make_a_project(scene: Scene, quick: None) -> None:
    named, made = set(), 0
    for page in PAGES:
        if on_page := {command for command in inline(page) if command.startswith("augmint init study ")}:
            named |= on_page
            for block in blocks(page):
                if block.language == "python":  # it may make the images
                    scene.execute(block)
    with contextlib.chdir(scene.root):
        for command in sorted(named):
            if (scene.root / command.rpartition(" ")[2]).exists():
                done = CliRunner().invoke(main, [*command.split()[1:], "--dry-run"])
                assert done.exit_code == 0, done.output
                made += 1
    assert made >= 3, "class folders, given splits, and the arrays that a snippet has made"


def test_nothing_is_left_out() -> None:
    tried = {*SHELL, "python", "yaml", "csv", "ini", *UNTRIED}
    assert {block.language for block in BLOCKS} <= tried, "write a test for this language, or say in UNTRIED why not"
    for entry in UNTRIED:
        assert entry in {block.language for block in BLOCKS}, f"no page has {entry} any more"
    for index, block in enumerate(BLOCKS):
        assert block.language != "text" or BLOCKS[index - 1].language == "python", f"{block}: printed by what?"


def test_no_exception_is_out_of_date() -> None:
    runs = [command for block in BLOCKS if block.language == "yaml" for command in _steps(block)]
    for entry in NOT_RUN:
        assert any(_begins(command, entry) for command in (*LINES, *runs)), f"no page says {entry} any more"
    for command in NO_ANSWER:
        assert command in LINES, f"no page says {command} any more"


@pytest.mark.parametrize(
    "command",
    [
        *(
            "augmint tran --dry-run",
            "augmint train --dryrun",
            "augmint sample --class 3",
            "augmint classify --require no",
        ),
        *("dvc rerpo", "dvc repro --frce", "make all", "python benchmarks/no.py", "python benchmarks/export.py --fast"),
        *("prefect work-pol ls", "prefect deploy --al", "augmint serve --port none", "rm -r data"),
    ],
)
def test_a_faulty_command_is_seen(command: str) -> None:
    assert problem(command)


@pytest.mark.parametrize(
    "command", ["augmint tran", "augmint train --dryrun", "dvc rerpo", "prefect work-pool updat", "prefect deploy --al"]
)
def test_a_faulty_command_in_a_sentence_is_seen(command: str) -> None:
    assert problem(command, whole=False)
