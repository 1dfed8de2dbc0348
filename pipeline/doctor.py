"""``augmint doctor``: whether machine, environment and project are fit for a run, and what to do if they are not."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Literal

from pipeline.errors import UserError
from pipeline.limits import core_quota, memory_free, memory_limit
from pipeline.runtime import THREADS, open_cores, trouble_with_mps
from pipeline.workspace import Workspace

GIB = 2**30
PYTHONS = ((3, 11), (3, 14))
"""The first version that is taken, and the first that is not."""
LEAST_MEMORY, GOOD_MEMORY = 1 * GIB, 3 * GIB
LEAST_DISK, GOOD_DISK = 1 * GIB, 5 * GIB

State = Literal["ok", "warning", "wrong"]


@dataclass(frozen=True)
class Result:
    """One line.

    Attributes:
        check: what was looked at.
        state: ``wrong`` ends a run or will; ``warning`` makes it slower, or may end it.
        found: what is there.
        remedy: what to do; empty for ``ok``.
    """

    check: str
    state: State
    found: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.state:<8}{self.check}: {self.found}" + (f"; {self.remedy}" if self.remedy else "")

    def as_dict(self) -> dict[str, str]:
        """For JSON."""
        return asdict(self)


def examine(workspace: Workspace) -> Iterator[Result]:
    """Looks at everything; a check that fails by itself is a finding too."""
    of_the_project = {check.__name__: partial(check, workspace) for check in OF_THE_PROJECT}
    for name, check in ({check.__name__: check for check in OF_THE_MACHINE} | of_the_project).items():
        try:
            yield from check()
        except Exception as error:  # whatever is broken here is what the user asked about
            yield Result(name, "wrong", f"{type(error).__name__}: {error}", "mend that, or install augmint anew")


# The environment -----------------------------------------------------------------------------------------------------


def python() -> Iterator[Result]:
    """The interpreter."""
    found = f"{sys.version.split()[0]} at {sys.executable}"
    if PYTHONS[0] <= sys.version_info[:2] < PYTHONS[1]:
        yield Result("python", "ok", found)
    else:
        yield Result("python", "wrong", found, "augmint needs 3.11 to 3.13: install it with one of these")


def packages() -> Iterator[Result]:
    """Whether every package that augmint needs is there, in a version that fits it and the others."""
    from packaging.requirements import Requirement

    wrong = []
    for owner in ("augmint", "torchvision"):
        for text in metadata.requires(owner) or []:
            need = Requirement(text)
            if need.marker is not None and not need.marker.evaluate({"extra": ""}):
                continue
            try:
                version = metadata.version(need.name)
            except metadata.PackageNotFoundError:
                wrong.append(f"{need.name} is missing")
                continue
            if not need.specifier.contains(version, prereleases=True):
                wrong.append(f"{need.name} {version} does not fit {owner}, which needs {need.specifier}")
    if wrong:
        yield Result("packages", "wrong", "; ".join(wrong), "install augmint anew, in an environment of its own")
    else:
        yield Result("packages", "ok", f"augmint {metadata.version('augmint')}, and all that it needs")


def device() -> Iterator[Result]:
    """What torch computes on."""
    import torch

    version = f"torch {torch.__version__}"
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        name = f"{version}, {torch.cuda.get_device_name()}, {free / GIB:.1f} of {total / GIB:.1f} GiB free"
        few = free < 2 * GIB
        yield Result("device", "warning" if few else "ok", name, "end what else is on the GPU" if few else "")
    elif torch.backends.mps.is_available():
        yield _apple(version)
    elif Path("/dev/nvidia0").exists():
        remedy = "install the build of torch for its driver's CUDA; until then train.device: auto is the processor"
        yield Result("device", "warning", f"{version} sees no GPU, and there is one", remedy)
    else:
        kind = torch.backends.cpu.get_cpu_capability()
        yield Result("device", "ok", f"{version} on the processor ({kind}), which is slow above 64 pixels")


def _apple(version: str) -> Result:
    reason = trouble_with_mps()
    if reason:
        return Result("device", "ok", f"{version} on the processor; it cannot train on the Apple GPU ({reason})")
    return Result("device", "ok", f"{version} on the processor; train.device: mps would take the Apple GPU")


def commands() -> Iterator[Result]:
    """The programs that stages are started by."""
    own = Path(sys.executable).parent
    for name in ("augmint", "dvc"):
        found = shutil.which(name)
        if found is None:
            yield Result(name, "wrong", "not on the PATH", f"export PATH={own}:$PATH")
        elif Path(found).parent.resolve() != own.resolve():
            remedy = f"export PATH={own}:$PATH, or dvc.yaml runs another version"
            yield Result(name, "warning", f"{found} is of another environment than this one", remedy)
        else:
            yield Result(name, "ok", f"{metadata.version(name)} at {found}")


def git() -> Iterator[Result]:
    """Git, which is not needed but for versions."""
    found = shutil.which("git")
    if found is None:
        yield Result("git", "warning", "not on the PATH", "without it no versions and no experiments")
        return
    done = subprocess.run([found, "--version"], capture_output=True, encoding="utf-8", errors="replace", check=False)
    yield Result("git", "ok", done.stdout.strip() or found)


# The machine ---------------------------------------------------------------------------------------------------------


def cores() -> Iterator[Result]:
    """Cores, and whether as many threads are asked for as there are."""
    usable, quota = open_cores(), core_quota()
    granted = usable if quota is None else min(float(usable), quota)
    told = f"{usable} cores" + (f", of which a container grants {quota:g}" if quota is not None else "")
    set_ = {name: int(value) for name in THREADS if (value := os.environ.get(name, "")).isdigit()}
    asked = max(set_.values(), default=usable)
    most = max(1, int(granted))
    if asked > most:
        remedy = f"export OMP_NUM_THREADS={most}: more threads than cores wait for one another"
        yield Result("cores", "warning", f"{told}, and {asked} threads", remedy)
    elif set_.get("OMP_NUM_THREADS", most) < most:
        remedy = f"unset OMP_NUM_THREADS, unless other programs need the cores: it is {set_['OMP_NUM_THREADS']}"
        yield Result("cores", "warning", told, remedy)
    else:
        yield Result("cores", "ok", told)


def memory() -> Iterator[Result]:
    """Memory that a run can have."""
    free, limit = memory_free(), memory_limit()
    known = [value for value in (free, limit) if value is not None]
    if not known:
        yield Result("memory", "ok", "the system does not say how much is free")
        return
    least = min(known)
    told = f"{least / GIB:.1f} GiB" + (", the limit of a container" if least == limit else " free")
    state: State = "wrong" if least < LEAST_MEMORY else "warning" if least < GOOD_MEMORY else "ok"
    remedy = "close other programs, or lower data.image_size, train.batch_size and train.width"
    yield Result("memory", state, told, "" if state == "ok" else remedy)


def disk(workspace: Workspace) -> Iterator[Result]:
    """Room for what stages write, and for their temporary files."""
    for name, place in (("disk", workspace.root.absolute()), ("temporary files", Path(tempfile.gettempdir()))):
        free = shutil.disk_usage(place).free
        state: State = "wrong" if free < LEAST_DISK else "warning" if free < GOOD_DISK else "ok"
        remedy = "free some: `dvc gc --workspace` removes what old runs left" if name == "disk" else "free some"
        yield Result(name, state, f"{free / GIB:.1f} GiB free at {place}", "" if state == "ok" else remedy)


# The project ---------------------------------------------------------------------------------------------------------


def permissions(workspace: Workspace) -> Iterator[Result]:
    """Whether stages may write where they have to."""
    places = (workspace.root, *workspace.outputs, workspace.root / ".dvc")
    closed = [place for place in places if place.exists() and not os.access(place, os.W_OK | os.X_OK)]
    if closed:
        names = ", ".join(str(place.absolute()) for place in closed)
        remedy = "give this user the right to (chown, chmod): another one has run a stage there, perhaps as root"
        yield Result("permissions", "wrong", f"may not be written to: {names}", remedy)
    else:
        yield Result("permissions", "ok", f"{workspace.root.absolute()} and what is in it may be written to")


def project(workspace: Workspace) -> Iterator[Result]:
    """params.yaml, dvc.yaml and the images."""
    from pipeline.params import load_params

    if not workspace.params.exists():
        remedy = "`augmint init DIR --images PATH` makes one"
        yield Result("project", "warning", f"no params.yaml in {workspace.root.absolute()}", remedy)
        return
    missing = [name for name in ("dvc.yaml", ".dvc") if not (workspace.root / name).exists()]
    if missing:
        remedy = "`augmint init . --images PATH` adds what is missing and changes nothing else"
        yield Result("project", "wrong", f"{' and '.join(missing)} missing beside params.yaml", remedy)
    try:
        params = load_params(workspace.params)
    except UserError as error:
        yield Result("params.yaml", "wrong", " | ".join(str(error).splitlines()), "mend it")
        return
    yield Result("params.yaml", "ok", "all its keys and values are known")
    yield from _images(workspace, params.data.path)


def _images(workspace: Workspace, path: str) -> Iterator[Result]:
    from pipeline.remote.addresses import is_url, shown

    if is_url(path):
        yield Result("images", "ok", f"{shown(path)}, fetched by ingest")
    elif not (workspace.root / path).exists():
        yield Result("images", "wrong", f"data.path: {path}: not there", "mend it, or mount what it lies on")
    elif not os.access(workspace.root / path, os.R_OK):
        yield Result("images", "wrong", f"data.path: {path}: may not be read", "give this user the right to")
    else:
        yield Result("images", "ok", path)


OF_THE_MACHINE: tuple[Callable[[], Iterator[Result]], ...] = (python, packages, device, commands, git, cores, memory)
OF_THE_PROJECT: tuple[Callable[[Workspace], Iterator[Result]], ...] = (disk, permissions, project)
