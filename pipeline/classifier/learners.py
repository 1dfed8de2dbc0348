"""How networks are trained together: what the loop asks of them, whatever they are."""

from collections.abc import Iterator, Sequence
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
        kernels: the weights that decay.
        others: those that do not: scales and biases.
        device: where they are.
    """

    kernels: list[Tensor]
    others: list[Tensor]
    device: torch.device

    def __call__(self, images: Tensor) -> Tensor:
        """(S, N, C, H, W) float32 in [-1, 1] -> logits (S, N, classes)."""

    def zero_grad(self) -> None:
        """Forgets all gradients."""

    def backward(self, loss: Tensor) -> None:
        """Adds the gradients of a sum of losses to those that there are."""

    def statistics_apart(self) -> AbstractContextManager[None]:
        """Within, batch normalisation uses the batch's own statistics and leaves the running ones as they are."""

    def store(self) -> None:
        """Puts what was learnt into the networks, which are then in evaluation mode."""


def learner_of(networks: Sequence[nn.Module]) -> Learner:
    """What trains ``networks``: see :func:`together`."""
    if stackable(networks):
        return StackedResNet(networks)  # type: ignore[arg-type]
    return One(networks[0]) if len(networks) == 1 else Mapped(networks)


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

    def __init__(self, network: nn.Module) -> None:
        self._network = network.train()
        parameters = [value for value in network.parameters() if value.requires_grad]
        self.kernels: list[Tensor] = [value for value in parameters if value.ndim > 1]
        self.others: list[Tensor] = [value for value in parameters if value.ndim <= 1]
        self.device = next(network.parameters()).device

    def __call__(self, images: Tensor) -> Tensor:
        """See :class:`Learner`."""
        return self._network(images[0].contiguous(memory_format=torch.channels_last))[None]

    def zero_grad(self) -> None:
        """See :class:`Learner`."""
        self._network.zero_grad(set_to_none=True)

    def backward(self, loss: Tensor) -> None:
        """See :class:`Learner`."""
        loss.backward()

    @contextmanager
    def statistics_apart(self) -> Iterator[None]:
        """See :class:`Learner`."""
        with _untracked(self._network):
            yield

    def store(self) -> None:
        """See :class:`Learner`."""
        self._network.eval()


class Mapped:
    """Any networks of one shape without random numbers of their own, by ``torch.func.vmap``."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        self._networks = [network.train() for network in networks]
        self._parameters, self._buffers = torch.func.stack_module_state(self._networks)
        self.kernels = [value for value in self._parameters.values() if value.ndim > 2]
        self.others = [value for value in self._parameters.values() if value.ndim <= 2]
        self.device = next(networks[0].parameters()).device

    def __call__(self, images: Tensor) -> Tensor:
        """See :class:`Learner`."""
        return torch.vmap(self._call)(self._parameters, self._buffers, images)

    def _call(self, parameters: dict[str, Tensor], buffers: dict[str, Tensor], images: Tensor) -> Any:
        return torch.func.functional_call(self._networks[0], (parameters, buffers), (images,))

    def zero_grad(self) -> None:
        """See :class:`Learner`."""
        for value in self._parameters.values():
            value.grad = None

    def backward(self, loss: Tensor) -> None:
        """See :class:`Learner`."""
        loss.backward()

    @contextmanager
    def statistics_apart(self) -> Iterator[None]:
        """See :class:`Learner`."""
        with _untracked(self._networks[0]):
            yield

    @torch.no_grad()
    def store(self) -> None:
        """See :class:`Learner`."""
        for index, network in enumerate(self._networks):
            for name, value in (*network.named_parameters(), *network.named_buffers()):
                value.copy_((self._parameters | self._buffers)[name][index])
            network.eval()


@contextmanager
def _untracked(network: nn.Module) -> Iterator[None]:
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.track_running_stats]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
