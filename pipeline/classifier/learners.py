"""How networks are trained together: what the loop asks of them, whatever they are."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from gan.layout import BLOCK
from pipeline.classifier.network import SmallResNet
from pipeline.classifier.stacked import StackedResNet


class Learner(Protocol):
    """S networks of one shape.

    Attributes:
        kernels: of each network the weights that decay.
        others: of each those that do not: scales and biases.
        device: where they are.
    """

    kernels: list[list[Tensor]]
    others: list[list[Tensor]]
    device: torch.device

    def __call__(self, images: Tensor) -> Tensor:
        """(S, N, C, H, W) float32 in [-1, 1] -> logits (S, N, classes)."""

    def zero_grad(self) -> None:
        """Forgets all gradients."""

    def backward(self, loss: Tensor) -> None:
        """Adds the gradients of a sum of losses to those that there are."""

    def statistics_apart(self) -> AbstractContextManager[None]:
        """Within, batch normalisation uses the batch's own statistics and leaves the running ones as they are.

        Its scales and shifts are then others too, where networks were given a second set of them. What is computed
        within is to be differentiated within.
        """

    def store(self) -> None:
        """Puts what was learnt into the networks, which are then in evaluation mode."""


def learner_of(networks: Sequence[nn.Module], own_norms: bool = False) -> Learner:
    """What trains ``networks``: see :func:`together`.

    Args:
        own_norms: gives each batch normalisation a second scale and shift, which begin as the first do, for what is
            computed within :meth:`Learner.statistics_apart`; they go when the training ends.
    """
    if stackable(networks):
        return StackedResNet(networks, own_norms)  # type: ignore[arg-type]
    return One(networks[0], own_norms) if len(networks) == 1 else Mapped(networks, own_norms)


def stackable(networks: Sequence[nn.Module]) -> bool:
    """Whether they are small residual networks, of a width at which a processor's bits do not depend on the stack."""
    return all(type(one) is SmallResNet and one.width % BLOCK == 0 for one in networks)


def together(networks: Sequence[nn.Module], image: tuple[int, ...]) -> bool:
    """Whether these networks can be trained as one, each as if it were alone; else one must come after the other.

    Of networks that are not ours a processor gains nothing by it, and what draws random numbers, such as dropout, would
    draw others beside others.

    Args:
        image: the shape (C, H, W) of what they take.
    """
    if stackable(networks):
        return True
    device = next(networks[0].parameters()).device
    if device.type == "cpu" or len(networks) == 1:
        return False
    try:
        with torch.no_grad():
            mapped = Mapped(networks)
            with mapped.statistics_apart():
                mapped(torch.zeros(len(networks), 2, *image, device=device))
    except Exception:  # whatever does not go with vmap
        return False
    return True


class One:
    """Any network, alone."""

    def __init__(self, network: nn.Module, own_norms: bool = False) -> None:
        self._network = network.train()
        self._own: dict[tuple[nn.Module, str], nn.Parameter] = {
            (norm, part): nn.Parameter(value.detach().clone())
            for norm in (_norms(network) if own_norms else [])
            for part, value in norm.named_parameters()
        }
        parameters = [value for value in (*network.parameters(), *self._own.values()) if value.requires_grad]
        self.kernels: list[list[Tensor]] = [[value for value in parameters if value.ndim > 1]]
        self.others: list[list[Tensor]] = [[value for value in parameters if value.ndim <= 1]]
        self.device = next(network.parameters()).device

    def __call__(self, images: Tensor) -> Tensor:
        """See :class:`Learner`."""
        return self._network(images[0].contiguous(memory_format=torch.channels_last))[None]

    def zero_grad(self) -> None:
        """See :class:`Learner`."""
        for value in (*self.kernels[0], *self.others[0]):
            value.grad = None

    def backward(self, loss: Tensor) -> None:
        """See :class:`Learner`."""
        loss.backward()

    @contextmanager
    def statistics_apart(self) -> Iterator[None]:
        """See :class:`Learner`."""
        shared: dict[tuple[nn.Module, str], nn.Parameter] = {
            (norm, part): getattr(norm, part) for norm, part in self._own
        }
        with _untracked(self._network):
            _put(self._own)
            try:
                yield
            finally:
                _put(shared)

    def store(self) -> None:
        """See :class:`Learner`."""
        self._network.eval()


def _put(parameters: Mapping[tuple[nn.Module, str], nn.Parameter]) -> None:
    for (norm, part), value in parameters.items():
        setattr(norm, part, value)


class Mapped:
    """Any networks of one shape without random numbers of their own, by ``torch.func.vmap``."""

    def __init__(self, networks: Sequence[nn.Module], own_norms: bool = False) -> None:
        self._networks = [network.train() for network in networks]
        self._parameters, self._buffers = torch.func.stack_module_state(self._networks)
        names = [name for name, module in networks[0].named_modules() if module in _norms(networks[0])]
        self._own = {
            name: value.detach().clone().requires_grad_()
            for name, value in self._parameters.items()
            if own_norms and name.rpartition(".")[0] in names
        }
        self._all = [*self._parameters.values(), *self._own.values()]
        rows = [[value.detach()[index] for value in self._all] for index in range(len(networks))]
        self.kernels = [[row for row in of_one if row.ndim > 1] for of_one in rows]
        self.others = [[row for row in of_one if row.ndim <= 1] for of_one in rows]
        self._rows = rows
        self.device = next(networks[0].parameters()).device

    def __call__(self, images: Tensor) -> Tensor:
        """See :class:`Learner`."""
        return torch.vmap(self._call)(self._parameters, self._buffers, images)

    def _call(self, parameters: dict[str, Tensor], buffers: dict[str, Tensor], images: Tensor) -> Any:
        return torch.func.functional_call(self._networks[0], (parameters, buffers), (images,))

    def zero_grad(self) -> None:
        """See :class:`Learner`."""
        for value in self._all:
            value.grad = None

    def backward(self, loss: Tensor) -> None:
        """See :class:`Learner`."""
        loss.backward()
        for index, rows in enumerate(self._rows):
            for row, value in zip(rows, self._all, strict=True):
                row.grad = None if value.grad is None else value.grad[index]

    @contextmanager
    def statistics_apart(self) -> Iterator[None]:
        """See :class:`Learner`."""
        shared = self._parameters
        with _untracked(self._networks[0]):
            self._parameters = shared | self._own
            try:
                yield
            finally:
                self._parameters = shared

    @torch.no_grad()
    def store(self) -> None:
        """See :class:`Learner`."""
        for index, network in enumerate(self._networks):
            for name, value in (*network.named_parameters(), *network.named_buffers()):
                value.copy_((self._parameters | self._buffers)[name][index])
            network.eval()


def _norms(network: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    return [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


@contextmanager
def _untracked(network: nn.Module) -> Iterator[None]:
    norms = [norm for norm in _norms(network) if norm.track_running_stats]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
