"""A run's state as named tensors, in memory and on disk; the last good one is kept within."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from gan.checkpoint import load_state, save_state
from pipeline.progress import say

State = dict[str, Tensor]
GOOD = "good/"


class StateFile:
    """Where a run's state lies while it is in work.

    Args:
        folder: of the run.
        key: names what the run depends on; a state of another key is none.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.path, self.key = folder / "state.safetensors", key

    def save(self, latest: Mapping[str, Tensor], good: Mapping[str, Tensor]) -> None:
        """Writes the latest state and the last good one."""
        save_state(self.path, {**latest, **{f"{GOOD}{name}": tensor for name, tensor in good.items()}}, self.key)

    def load(self) -> tuple[State, State] | None:
        """The latest state and the last good one, if there are any that belong to the run and are whole."""
        tensors = load_state(self.path, self.key, say)
        if tensors is None:
            return None
        good = {name.removeprefix(GOOD): tensors.pop(name) for name in list(tensors) if name.startswith(GOOD)}
        return tensors, good


def part(state: State, prefix: str) -> State:
    """Takes the tensors whose names begin with ``prefix`` out of ``state``; they lose it."""
    return {name.removeprefix(prefix): state.pop(name) for name in list(state) if name.startswith(prefix)}
