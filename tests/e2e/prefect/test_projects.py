"""Several projects on one server: each has its own deployments, and its runs are at work in its own folder."""

import shutil
from pathlib import Path

import pytest
from dvc.repo import Repo

from tests.e2e.conftest import REPOSITORY
from tests.e2e.prefect.conftest import Program, Server, deploy, start_worker, wait_for

pytestmark = pytest.mark.timeout(1500)
FLOWS = ("refresh", "augment", "export_set", "sweep")


def made(folder: Path, name: str = "") -> Path:
    """A project whose one stage, ``train``, writes which folder it is at work in."""
    folder.mkdir(parents=True)
    Repo.init(str(folder), no_scm=True).close()
    (folder / "dvc.yaml").write_text("stages:\n  train: {cmd: pwd > out, outs: [out]}\n")
    (folder / "params.yaml").write_text("seed: 1\n")
    deployments = (REPOSITORY / "prefect.yaml").read_text()
    (folder / "prefect.yaml").write_text(f"name: {name}\n{deployments}" if name else deployments)
    return folder


def serve(server: Server, folder: Path) -> Program:
    program = server.start(folder, "augmint", "serve")
    name = folder.name
    wait_for(f"augmint serve in {folder}", lambda: server.deployment(f"sweep/{name}"))
    return program


def where(server: Server, deployment: str, **parameters: str) -> tuple[str, str]:
    """The name of a run, and its last words."""
    run = server.begin(deployment, **parameters)
    state = server.end(run)
    assert state["type"] == "COMPLETED", state
    return server.ask("GET", f"/flow_runs/{run}").json()["name"], state["message"]


def test_served_projects_keep_to_themselves(server: Server, tmp_path: Path) -> None:
    first, second, same = (made(tmp_path / name) for name in ("a/shelf", "a/drawer", "b/shelf"))
    one, other = serve(server, first), serve(server, second)
    refused = server.attempt(same, "augmint", "serve")
    assert refused.returncode == 2, refused.stdout
    message = " ".join(refused.stdout.split())
    assert str(first) in message and str(same) in message and "Traceback" not in message
    # a run of each in its own folder, named and tagged by it
    for folder in (first, second):
        name, said = where(server, f"augment/{folder.name}")
        assert name.startswith(f"augment {folder.name} 20") and said == "Ran train"
        assert (folder / "out").read_text().strip() == str(folder)
        assert {"augmint", folder.name} <= {*server.deployment(f"augment/{folder.name}")["tags"]}
    # status and the end of one; the other stays as it is
    assert "augment/shelf" in server.run(first, "augmint", "serve", "status")
    assert "has ended" in server.run(first, "augmint", "serve", "stop")
    assert server.attempt(first, "augmint", "serve", "status").returncode == 1
    assert one.guard.wait() == 0
    assert not any(server.deployment(f"{flow}/drawer")["paused"] for flow in FLOWS)
    assert other.guard.poll() is None
    other.kill()


def test_a_name_in_prefect_yaml_tells_folders_of_one_name_apart(server: Server, tmp_path: Path) -> None:
    first, second = made(tmp_path / "a" / "box"), made(tmp_path / "b" / "box", "other box")
    worker = start_worker(server, first)
    deploy(server, second)  # from a name of its own
    # a worker of no project takes the runs of both, from wherever
    for folder, name in ((first, "box"), (second, "other-box")):
        assert where(server, f"augment/{name}")[1] == "Ran train"
        assert (folder / "out").read_text().strip() == str(folder)
        assert server.deployment(f"augment/{name}")["work_queue_name"] == name
    third = made(tmp_path / "c" / "box")
    refused = server.attempt(third, "prefect", "--no-prompt", "deploy", "--all")
    assert refused.returncode != 0
    assert str(first) in "".join(refused.stdout.split("\n")) and server.deployment("augment/box")["parameters"] == {
        "project": str(first)
    }
    # a folder that is no more leaves its name to others
    shutil.rmtree(first)
    server.run(third, "prefect", "--no-prompt", "deploy", "--all")
    assert server.deployment("augment/box")["parameters"] == {"project": str(third)}
    # a project elsewhere than the folder that was deployed: a sibling, and one below
    made(third / "deep" / "down")
    for elsewhere in ("../../b/box", "deep/down", "."):
        folder = (third / elsewhere).resolve()
        (folder / "out").unlink(missing_ok=True)
        run = server.begin("augment/box", project=elsewhere, force=True)
        assert server.end(run)["message"] == "Ran train"
        assert (folder / "out").read_text().strip() == str(folder)
        assert "augmint-trainer" in server.task_runs(run)["train"]["tags"]
    worker.kill()
