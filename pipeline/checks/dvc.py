"""Whether ``dvc.yaml`` asks of ``params.yaml`` what is there, and sees what a stage depends on."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.checks.finding import Finding
from pipeline.params import Params, locate
from pipeline.plain_yaml import read_mapping, scalar
from pipeline.workspace import Workspace


def named_keys(params: Params, workspace: Workspace) -> Iterator[Finding]:
    """Every key that a stage depends on must stand in params.yaml: DVC ends before a stage of which one is missing.

    For augmint itself it may be left out, as in a file that an earlier version took.
    """
    if not workspace.params.is_file():
        return
    written, all_of_them = read_mapping(workspace.params), params.model_dump(mode="json")
    for name, stage in _stages(workspace).items():
        for key in stage.get("params") or []:
            known, value = _looked_up(all_of_them, key)
            if known and not _looked_up(written, key)[0]:
                what = "the group" if isinstance(value, dict) else f"its default, {scalar(value)}"
                yield Finding(
                    name,
                    f"{workspace.params}: {key} is missing, on which the stage {name} of dvc.yaml depends, so that "
                    f"`dvc repro` would end before it; add {what}",
                )


def _looked_up(tree: Any, key: object) -> tuple[bool, Any]:
    """Whether there is a dotted key, and its value; entries of a stage that are no text name other files."""
    for part in key.split(".") if isinstance(key, str) else [None]:
        if not isinstance(tree, Mapping) or part not in tree:
            return False, None
        tree = tree[part]
    return True, tree


def depends_on(workspace: Workspace, path: str) -> Iterator[Finding]:
    """DVC must see the folder of models change; its templating knows no dependency that may be left out."""
    stage = _stages(workspace).get("train") or {}
    base = workspace.root / (stage.get("wdir") or ".")
    listed_here = [next(iter(dep)) if isinstance(dep, dict) else str(dep) for dep in stage.get("deps") or []]
    known = [(base / dep.replace("${train.init_from}", path)).resolve() for dep in listed_here]
    folder = (workspace.root / path).resolve()
    if stage and not any(one in (folder, *folder.parents) for one in known):
        line = locate(workspace.root / "dvc.yaml", "stages", "train", "deps")
        yield Finding(
            "train",
            f"{line}: the stage train does not depend on {path}, so that `dvc repro` would not see it change; add this "
            f"line to its deps:\n      - {scalar(path)}",
        )


def _stages(workspace: Workspace) -> Mapping[str, Any]:
    """The stages of ``dvc.yaml``; none where there is no such file."""
    file = workspace.root / "dvc.yaml"
    stages = read_mapping(file).get("stages") if file.is_file() else None
    return {name: stage for name, stage in (stages or {}).items() if isinstance(stage, dict)}
