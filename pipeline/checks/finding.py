"""A finding, and what makes them."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

from pipeline.params import Params, locate
from pipeline.workspace import Workspace


@dataclass(frozen=True)
class Finding:
    """Something that will end a later stage, or weaken what it finds.

    Attributes:
        stage: where it would come up.
        text: what is wrong, where, and what to do.
        fatal: the stage would end with it.
        passes: it may pass by itself, such as a full disk.
    """

    stage: str
    text: str
    fatal: bool = True
    passes: bool = False

    def __str__(self) -> str:
        return f"{self.stage}: {self.text}"

    def as_dict(self) -> dict[str, str | bool]:
        """For JSON."""
        return asdict(self)


Part = Callable[[Params, Workspace], Iterator[Finding]]
"""Looks at one thing."""


def has_store(workspace: Workspace) -> bool:
    """Whether there is an ingested set."""
    return (workspace.store / "summary.json").is_file()


def place(workspace: Workspace, *keys: str) -> str:
    """The place of a key in params.yaml, or its name where a file is not at hand."""
    return locate(workspace.params, *keys) if workspace.params.is_file() else ".".join(keys)
