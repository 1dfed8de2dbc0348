"""Iterations from inputs at fixed addresses: what makes it possible to record one as a CUDA graph, and to replay it.

An iteration is a few thousand launches of small kernels; a large GPU has done them before the processor has asked for
the next. A graph asks for all of them at once. Whatever changes from one iteration to the next must then lie in tensors
that were there when it was recorded: the draws and rates in one buffer, filled by one copy; weights, averages and
moments where they are.
"""

from collections.abc import Callable, Hashable, Iterable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from gan.draws import IterationDraws, Place, layout
from gan.errors import first_line
from gan.networks.family import Family, LazyTerm
from gan.rates import Rates

WARM_UP = 2  # iterations of one layout before it is recorded: kernels are chosen and compiled, libraries set up
Work = Callable[[], Tensor]


class Inputs(NamedTuple):
    """All that differs between two iterations.

    Attributes:
        course: what a family's schedule has decided, see :class:`gan.networks.family.Family`.
    """

    draws: IterationDraws
    rates: Rates
    course: Hashable = None


class CaptureError(Exception):
    """An iteration could not be recorded; nothing of it was done."""


class Recorder(Protocol):
    """Runs work once, or records it."""

    def warm(self, work: Work) -> Tensor:
        """Does the work, as it will be recorded."""
        ...

    def record(self, work: Work) -> Work:
        """Records the work without doing it; what is returned does it, and gives a new tensor each time.

        Raises:
            CaptureError: it cannot be recorded.
        """
        ...


class CudaRecorder:
    """CUDA graphs that share one pool of memory: they never run at the same time, and their results are copied."""

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device)
        self._pool = torch.cuda.graph_pool_handle()

    def warm(self, work: Work) -> Tensor:
        """On a stream of its own, as recording does not go on the default one."""
        current = torch.cuda.current_stream()
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            figures = work()
        current.wait_stream(self._stream)
        return figures

    def record(self, work: Work) -> Work:
        """See :class:`Recorder`."""
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
                figures = work()
        except RuntimeError as error:  # an operation that waits for the device, or no memory
            raise CaptureError(first_line(error)) from None

        def replay() -> Tensor:
            graph.replay()
            return figures.clone()

        return replay


def recorder_for(device: torch.device) -> Recorder | None:
    """What records on ``device``; ``None`` where work is done directly."""
    return CudaRecorder(device) if device.type == "cuda" else None


def unrecordable(family: Family) -> str | None:
    """Why iterations of a family cannot be recorded, if they cannot: what it adds may decide anew each time."""
    untold = family.schedule is not None and family.course is None
    eager = [term for term in family.generator_terms if not isinstance(term, LazyTerm)]
    added = {"a schedule": untold, "terms of the generator": bool(eager)}
    found = [name for name, there in added.items() if there]
    return f"the family of networks brings {' and '.join(found)}" if found else None


class _Layout:
    """Iterations whose inputs have one layout: their place, how many there were, and the record of one."""

    def __init__(self, inputs: Inputs, device: torch.device) -> None:
        self.place = Place(inputs, device)
        self.done = 0
        self.replay: Work | None = None


class FixedIterations:
    """Runs iterations on inputs at fixed addresses, one place for each layout of inputs.

    Layouts differ by which critic steps take the penalty, which terms of the family are taken, by whether there is
    augmentation, by Adam's beta2 and by which levels of a growing network are on, so there are few.

    Args:
        update: an iteration as a function of its inputs and of what ``held`` gives.
        held: the tensors that it reads and changes; they have to stay where they are.
        device: of all of them.
        recorder: ``None`` calls ``update`` each time.
    """

    def __init__(
        self,
        update: Callable[[Inputs], Tensor],
        held: Callable[[], Iterable[Tensor]],
        device: torch.device,
        recorder: Recorder | None,
    ) -> None:
        self._update, self._held, self._device, self._recorder = update, held, device, recorder
        self._known: dict[Hashable, _Layout] = {}
        self._addresses = self._where()

    def __call__(self, inputs: Inputs) -> Tensor:
        """The figures of an iteration.

        Raises:
            CaptureError: it cannot be recorded; nothing of it was done.
        """
        inputs = inputs._replace(rates=inputs.rates.tensors(self._device))
        name = layout(inputs)
        if name not in self._known:
            self._known[name] = _Layout(inputs, self._device)
        known = self._known[name]
        known.place.fill(inputs)
        known.done += 1
        if known.replay is not None:
            return known.replay()

        def work() -> Tensor:
            return self._update(known.place.content)

        if self._recorder is None:
            return work()
        if known.done <= WARM_UP:
            return self._recorder.warm(work)
        if self._where() != self._addresses:
            raise CaptureError("a network puts new tensors in the place of its weights or buffers")
        known.replay = self._recorder.record(work)
        return known.replay()

    def _where(self) -> list[int]:
        return [tensor.data_ptr() for tensor in self._held()]
