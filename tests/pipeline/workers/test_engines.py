"""The same bytes by every engine as by one process, also when a worker is killed; errors as they are; nothing left."""

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner

from pipeline import workers
from pipeline.cli import main
from pipeline.errors import BusyError, UserError
from pipeline.experiment import runner
from pipeline.experiment.arms import REAL, Arm
from pipeline.experiment.pool import save
from pipeline.experiment.runner import Runner
from pipeline.experiment.trial import TrialSetup
from pipeline.export import making
from pipeline.flows import fold_workers
from pipeline.flows.engine import chosen
from pipeline.flows.fold_workers import by_workers
from pipeline.ingest import sharded
from pipeline.locks import alone
from pipeline.metrics import embedded
from pipeline.params import ClassifyParams, DataParams, EvaluateParams, Params, StudyParams, WorkersParams
from pipeline.progress import Progress
from pipeline.runtime import THREADS
from pipeline.stages import evaluate, export, ingest
from pipeline.store import Store
from pipeline.study import beacon
from pipeline.study.folds import Fold, all_folds
from pipeline.workers import Local, cluster, dask, open_workers, visiting
from pipeline.workers.cluster import Cluster
from pipeline.workers.visiting import Visit
from pipeline.workspace import Workspace
from tests.pipeline import export_project
from tests.pipeline.image_files import saved
from tests.pipeline.workers.fold_work import StandInFold
from tests.pipeline.workers.works import DyingDrawer, DyingReader, DyingSearch, DyingTrainer, Leaves, Squares

ONE = WorkersParams(count=1)


def sums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a project that is not hidden."""
    files = [path for path in folder.rglob("*") if path.is_file() and ".augmint" not in path.parts]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


# A crew ---------------------------------------------------------------------------------------------------------------


def test_results_come_in_order_errors_as_they_are_and_a_lost_worker_loses_nothing(
    params: WorkersParams, tmp_path: Path
) -> None:
    with open_workers(params, tmp_path) as engine, engine.crew(Squares(tmp_path / "died")) as crew:
        assert list(crew.in_order(iter(range(12)))) == [number**2 for number in range(12)]
        assert (tmp_path / "died").exists()
        assert sorted(crew.as_done(list(range(5)))) == [(number, number**2) for number in range(5)]
        assert list(crew.in_order([])) == []
        for number, kind in ((-1, UserError), (-2, BusyError)):
            with pytest.raises(UserError) as raised:
                list(crew.in_order([1, number, 2]))
            assert type(raised.value) is kind
            assert str(raised.value) == f"params.yaml:7: {number} is no number; write another"


def test_one_process_gives_each_result_before_it_goes_on() -> None:
    done: list[int] = []
    with Local(1).crew(done.append) as crew:
        for given in (crew.as_done([5, 6, 7]), crew.in_order([5, 6, 7])):
            done.clear()
            next(given)
            assert done == [5]


def test_a_shard_that_kills_every_worker_is_given_up(
    params: WorkersParams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for room in ("base", "ray"):  # the cluster of Dask is told so in conftest.py
        monkeypatch.setattr(f"pipeline.workers.{room}.LOSSES", 1)
    work, given_up = Squares(tmp_path, always=True), pytest.raises(BusyError, match="memory ran out")
    with given_up, open_workers(params, tmp_path) as engine, engine.crew(work) as crew:
        list(crew.in_order([3]))


# The stages -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 images in a folder: grey, deep grey, colour, of several sizes, a copy, and one that is none."""
    rng, root = np.random.default_rng(0), tmp_path_factory.mktemp("images") / "set"
    made = [saved(rng.integers(0, 256, (12, 10 + index % 5, 3)).astype(np.uint8)) for index in range(50)]
    made += [saved(rng.integers(0, 256, (9, 9)).astype(np.uint8)) for _ in range(5)]
    made += [saved(rng.integers(0, 4096, (12, 12)).astype(np.uint16)) for _ in range(3)]
    made += [made[0], b"no image"]
    for index, data in enumerate(made):
        (root / "ab"[index % 2]).mkdir(parents=True, exist_ok=True)
        (root / "ab"[index % 2] / f"{index:02}.png").write_bytes(data)
    return root


def ingested(root: Path, images: Path, chosen: WorkersParams) -> dict[str, str]:
    data = DataParams(source="folder", path=str(images), image_size=10, max_bad_fraction=0.1)
    ingest.run(Params(data=data, workers=chosen), Workspace(root))
    return sums(root)


def test_ingest_is_the_same_and_a_killed_worker_moves_nothing(
    params: WorkersParams, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharded, "MOST", 16)  # images a shard, so that there are several
    one = ingested(tmp_path / "one", images, ONE)
    assert ingested(tmp_path / "whole", images, params) == one
    if params.engine != "local":  # whose readers tests/pipeline/ingest/test_team.py kills
        monkeypatch.setattr(sharded, "ReadShard", DyingReader)
        assert ingested(tmp_path / "killed", images, params) == one
        (images.parent / "died").unlink()
    assert {"data/store/images.npy", "data/store/manifest.parquet", "metrics/ingest.json"} <= one.keys()


def exported(root: Path, chosen: WorkersParams, **choices: object) -> dict[str, str]:
    workspace = export_project.make(root)
    settings = export_project.params(**choices).model_copy(update={"workers": chosen})
    export.run(settings, workspace)
    rows = pq.read_table(workspace.synthetic / "manifest.parquet").to_pylist()
    assert len({row["name"] for row in rows}) == len(rows)
    return sums(workspace.synthetic)


def test_an_export_is_the_same_and_a_killed_worker_moves_nothing(
    params: WorkersParams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choices = {"balance": 200, "include_real": "train", "filters": {"critic": 0.5}}
    one = exported(tmp_path / "one", ONE, **choices)
    monkeypatch.setattr(making, "Drawer", DyingDrawer)
    assert exported(tmp_path / "killed", params, **choices) == one
    assert (tmp_path / "killed" / "died").exists()


@pytest.mark.parametrize("kind", ["webdataset", "parquet"])
def test_shards_do_not_depend_on_the_workers(tmp_path: Path, kind: str) -> None:
    choices = {"balance": 200, "format": kind, "shard_images": 33}
    one = exported(tmp_path / "one", ONE, **choices)
    assert exported(tmp_path / "three", WorkersParams(count=3), **choices) == one


def scored(workspace: Workspace, chosen: WorkersParams) -> dict[str, str]:
    evaluate.run(Params(evaluate=EvaluateParams(samples=120, repeats=3, embedder_steps=5), workers=chosen), workspace)
    assert not (workspace.scratch / "evaluate").exists()
    return sums(workspace.root)


@pytest.fixture(scope="module")
def one_scored(digits_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What this process alone makes of a project, in ``root``, whose held-out images are no part of the store."""
    workspace = Workspace(tmp_path_factory.mktemp("scored"))
    shutil.copytree(digits_store.folder, workspace.store)
    export_project.make_models(workspace.models, channels=1, classes=digits_store.classes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.stages.evaluate.MOST", 700)
        yield {"root": str(workspace.root), **scored(workspace, ONE)}


def test_an_evaluation_is_the_same_and_a_killed_worker_moves_nothing(
    one_scored: dict[str, str], params: WorkersParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(Path(one_scored["root"]))
    monkeypatch.setattr("pipeline.evaluation.sharing.PAYS", 0.0)
    monkeypatch.setattr(embedded, "Search", DyingSearch)
    shutil.rmtree(workspace.root / "metrics")
    found = scored(workspace, params)
    (workspace.store / "died").unlink()
    found.pop("data/store/died")
    assert {"root": one_scored["root"], **found} == one_scored


def test_trials_are_the_same_and_a_killed_worker_loses_none(
    params: WorkersParams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = export_project.make_store(tmp_path / "store", channels=1)
    save(tmp_path / "pool", images, np.arange(14) % 3, np.zeros(14, np.int64), np.array([4, 4, 4]))
    setup = TrialSetup(tmp_path, tmp_path / "store", tmp_path / "pool", ClassifyParams(steps=2, batch_size=4, width=4))
    arms = (REAL, Arm("synthetic", REAL.recipe, extra="synthetic", dose=0.5))

    def trained(chosen: WorkersParams) -> list[np.ndarray]:
        (cache := tmp_path / chosen.engine / str(chosen.count)).mkdir(parents=True)
        with (
            open_workers(chosen, tmp_path) as engine,
            Runner(0, setup, cache, Progress(4, "test", "runs"), engine) as one,
        ):
            found = one.run(*arms, seeds=2, draws=1)
        assert len(list(cache.iterdir())) == 4
        return [array for each in found for array in (each.val, each.test, each.synthetic)]

    one = trained(ONE)
    monkeypatch.setattr(runner, "Trainer", DyingTrainer)
    for found, expected in zip(trained(params), one, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert (tmp_path / "died").exists()


@pytest.mark.parametrize("engine", ["dask", "ray"])
def test_a_fold_goes_on_where_a_killed_worker_left_it_and_ends_with_who_waits(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = WorkersParams(engine=engine, address=request.getfixturevalue(f"{engine}_address"))
    monkeypatch.setattr(fold_workers, "FoldWork", StandInFold)
    monkeypatch.setattr(beacon, "SECONDS", 0.2)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    said: dict[Fold, list[str]] = {fold: [] for fold in all_folds(StudyParams(folds=4))}
    with closing(
        by_workers(tmp_path, open_workers(asked, tmp_path), 2, list(said), lambda fold: said[fold].append)
    ) as finished:
        assert sorted(next(finished).number for _ in range(3)) == [0, 1, 2]
        while not (tmp_path / "0-3.train").exists():  # the last of them waits for somebody to end it
            time.sleep(0.05)
    with alone(tmp_path / ".augmint" / "folds" / "0-3.lock", "a test", 60):
        pass
    ran = (tmp_path / "ran.txt").read_text(encoding="utf-8").split("\n")[:-1]
    stages = [f"{fold} {name} local 3" for fold in said for name in ("train", "classify")]
    assert sorted(ran) == sorted(stages[:-1])  # each once, with as many threads as here, and no cluster of its own
    assert (tmp_path / "died").exists()
    begun = [line for line in said[Fold(0, 1)] if "is begun on" in line]
    assert (len(begun), said[Fold(0, 1)][-1]) == (2, "study: fold 0-1: classify")
    assert said[Fold(0, 3)][1:] == ["study: fold 0-3: train"]
    assert {path.suffix for path in (tmp_path / ".augmint" / "folds").iterdir()} == {".lock"}


@pytest.mark.parametrize("engine", ["dask", "ray"])
def test_a_cluster_that_is_started_here_moves_no_number_of_threads(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dask writes one thread into the environment of who starts its workers; a fold trains with those that are here."""
    monkeypatch.setattr(fold_workers, "FoldWork", StandInFold)
    for name in THREADS:
        monkeypatch.delenv(name, raising=False)
    before = {name: os.environ.get(name) for name in (*THREADS, "PYTHONHASHSEED")}
    here, folds = torch.get_num_threads(), [Fold(0, 0), Fold(0, 2)]
    torch.set_num_threads(3)
    try:
        asked = open_workers(WorkersParams(engine=engine, count=2), tmp_path)
        assert set(by_workers(tmp_path, asked, 2, folds, lambda _: lambda _: None)) == set(folds)
    finally:
        torch.set_num_threads(here)
    ran = (tmp_path / "ran.txt").read_text(encoding="utf-8").splitlines()
    assert sorted(ran) == [f"{fold} {name} local 3" for fold in folds for name in ("classify", "train")]
    assert {name: os.environ.get(name) for name in before} == before


# What goes wrong ------------------------------------------------------------------------------------------------------


@pytest.fixture
def project(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    data = {"source": "folder", "path": str(images), "image_size": 10, "max_bad_fraction": 0.1}
    (tmp_path / "params.yaml").write_text(json.dumps({"data": data}), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("engine", ["dask=tcp://127.0.0.1:9", "ray=127.0.0.1:9"])
def test_a_cluster_that_does_not_answer_may_come_back(
    project: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    monkeypatch.setenv(workers.CHOICE, engine)
    done = CliRunner().invoke(main, ["ingest"])
    assert (done.exit_code, "does not answer" in done.output, "127.0.0.1:9" in done.output) == (75, True, True)
    assert not (project / "data").exists()


@pytest.mark.parametrize("engine", ["dask", "ray"])
def test_who_only_listens_is_no_cluster(engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a scheduler that hangs, or another program: both libraries would wait for minutes, or for ever."""
    for module in (cluster, dask):
        monkeypatch.setattr(module, "SECONDS_TO_ANSWER", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        asked = WorkersParams(engine=engine, address=f"127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(BusyError, match="does not answer"), open_workers(asked, tmp_path):
            pass


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ("spark", "names no engine"),
        ("local=tcp://127.0.0.1:9", "names no engine"),
        ("dask=somewhere", "is no address of a cluster"),
    ],
)
def test_a_choice_that_is_none_is_refused(
    project: Path, monkeypatch: pytest.MonkeyPatch, choice: str, said: str
) -> None:
    monkeypatch.setenv(workers.CHOICE, choice)
    done = CliRunner().invoke(main, ["ingest"])
    assert (done.exit_code, said in done.output) == (2, True)


@pytest.mark.parametrize(("engine", "package"), [("dask", "distributed"), ("ray", "ray")])
def test_a_missing_package_is_named_with_what_installs_it(
    project: Path, monkeypatch: pytest.MonkeyPatch, engine: str, package: str
) -> None:
    monkeypatch.setenv(workers.CHOICE, engine)
    monkeypatch.setitem(sys.modules, package, None)
    done = CliRunner().invoke(main, ["ingest"])
    assert (done.exit_code, f"pip install 'augmint[{engine}]'" in done.output) == (2, True)


def gone(file: Path) -> dict[str, str]:
    """As a worker that does not see the folder finds it."""
    file.unlink()
    return visiting.versions()


def others(file: Path) -> dict[str, str]:
    """As a worker finds it that has another folder at the same place."""
    file.write_text("another folder", encoding="utf-8")
    return visiting.versions()


def of_another(name: str) -> Callable[[Path], dict[str, str]]:
    """As a worker finds it that has another version of ``name`` than this machine."""
    return lambda _: visiting.versions() | {name: "0.0.1"}


@pytest.mark.parametrize("engine", ["dask", "ray"])
def test_a_worker_that_is_not_as_this_machine_is_refused_before_anything_is_given_out(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = WorkersParams(engine=engine, address=request.getfixturevalue(f"{engine}_address"))
    made = visiting.Visit.of
    with open_workers(asked, tmp_path) as opened:
        assert isinstance(opened, Cluster)
        for here, said in (
            (of_another("numpy"), f"has numpy {visiting.versions()['numpy']}, not 0.0.1, and would not compute"),
            (of_another("augmint"), "not 0.0.1, and would not compute the same bytes; install there what is here"),
            (others, "does not see the project's folder"),
            (gone, "is not there, or another; mount the folder at the same place on every worker"),
        ):

            def told(work: Leaves, mark: Path, named: str, here: Callable[[Path], dict[str, str]] = here) -> Visit:
                visit = made(work, mark, named)
                return replace(visit, versions=here(mark))

            monkeypatch.setattr(visiting.Visit, "of", told)
            with pytest.raises(UserError, match=re.escape(said)) as raised, opened.crew(Leaves(tmp_path)) as crew:
                list(crew.in_order(range(4)))
            assert type(raised.value) is UserError
            assert re.match(rf"{engine} at \S+: the worker on {re.escape(socket.gethostname())} ", str(raised.value))
            opened._mark.write_text("as it was", encoding="utf-8")
    assert not list(tmp_path.glob("given-*"))
    assert not list((tmp_path / "workers").iterdir())  # neither mark nor work


SCRIPT = """
import signal
import sys
from pathlib import Path
from pipeline.params import WorkersParams
from pipeline.workers import Local, cluster, dask, open_workers, visiting
from pipeline.workers.cluster import Cluster
from pipeline.workers.visiting import Visit
from tests.pipeline.workers.waiting import waits

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # tests that run in the background have it ignored
    with open_workers(WorkersParams(engine=sys.argv[1], count=2), Path()) as engine, engine.crew(waits) as crew:
        print("ready", flush=True)
        list(crew.in_order([1, 2]))
"""


@pytest.mark.parametrize("engine", ["local", "dask", "ray"])
def test_an_interrupted_run_leaves_no_process(tmp_path: Path, engine: str) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    process = subprocess.Popen(
        [sys.executable, "script.py", engine],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) != 0
    assert children or engine == "local"
    assert psutil.wait_procs(children, timeout=30)[1] == []


# Flows ----------------------------------------------------------------------------------------------------------------


def in_a_flow(runner: object, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What a stage is told by a flow with this task runner."""
    context = SimpleNamespace(get=lambda: SimpleNamespace(task_runner=runner))
    of_prefect = vars(import_module("prefect.context")) | {"FlowRunContext": context}
    monkeypatch.setitem(sys.modules, "prefect.context", SimpleNamespace(**of_prefect))
    return chosen()


def test_a_flow_on_dask_hands_its_cluster_on_and_a_task_there_stays(
    dask_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect_dask import DaskTaskRunner

    with DaskTaskRunner(address=dask_address) as runner:
        assert in_a_flow(runner, monkeypatch) == {workers.CHOICE: f"dask={dask_address}"}
        assert runner.client.submit(chosen).result(60) == {workers.CHOICE: "local"}
        monkeypatch.setenv(workers.CHOICE, "ray")
        assert in_a_flow(runner, monkeypatch) == {}  # what somebody has chosen stays


def test_a_flow_on_ray_hands_its_cluster_on_and_a_task_there_stays(
    ray_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray
    from prefect_ray import RayTaskRunner

    with RayTaskRunner(address=ray_address, init_kwargs={"log_to_driver": False}) as runner:
        told = in_a_flow(runner, monkeypatch)[
            workers.CHOICE
        ]  # with the machine's address in the place of the loopback's
        assert (told.startswith("ray="), told.rpartition(":")[2]) == (True, ray_address.rpartition(":")[2])
        assert ray.get(ray.remote(chosen).remote(), timeout=60) == {workers.CHOICE: "local"}


def test_nothing_of_a_cluster_is_loaded_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "prefect.context", raising=False)
    assert chosen() == {}
    code = "import sys, pipeline.cli, pipeline.stages.export, pipeline.stages.classify, pipeline.stages.ingest; "
    code += "from pipeline.flows.engine import chosen; chosen(); "
    code += "sys.exit(bool({'distributed', 'dask', 'ray', 'prefect'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
