"""Whether a device gives what it should: twice, after a stop, as a graph, in parts, beside the processor."""

from collections.abc import Iterator

import torch
from torch import Tensor
from ways import WAYS, Options, Row, gone, tell, trainer, weights

from gan.recipes import RECIPES


def right(options: Options, device: torch.device) -> Iterator[Row]:
    """Whether two runs are equal, a resumed one too; how far a graph, parts, and the processor's first figures are."""
    yield (
        "recipe",
        "twice the same bits",
        "resumed to the same bits",
        "graph apart",
        "parts apart",
        "CPU's figures apart",
    )
    for recipe, augmented in [*((recipe, True) for recipe in sorted(RECIPES)), ("wgan-gp", False)]:
        more = {"recipe": recipe} | ({} if augmented else {"augment": ()})
        first, second, begun, resumed, graph, parts = (
            trainer(options, device, 16, 16, way, **more) for way in (*[WAYS[0]] * 4, "one graph", WAYS[0])
        )
        gone(begun, 3)
        resumed.load_state({name: value.clone() for name, value in begun.state().items()})
        parts.parts = 4
        for run, iterations in ((first, 6), (second, 6), (graph, 6), (parts, 6), (resumed, 3)):
            gone(run, iterations)
        parts.parts = 1  # which a state would tell
        ends = [weights(run) for run in (first, second, graph, parts, resumed)]
        tell(graph)
        figures = [trainer(options, where, 16, 16, **more).iteration().cpu() for where in (device, torch.device("cpu"))]
        same = ["yes" if torch.equal(ends[0], other) else "**no**" for other in (ends[1], ends[4])]
        distances = [apart(ends[2], ends[0]), apart(ends[3], ends[0]), apart(figures[0], figures[1])]
        yield f"{recipe}{'' if augmented else ', not augmented'}", *same, *(f"{one:.1e}" for one in distances)


def apart(one: Tensor, other: Tensor) -> float:
    """The length of the difference over the length."""
    return float((one - other).norm() / other.norm())
