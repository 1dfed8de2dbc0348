"""How networks are trained together: what the loop asks of them, whatever they are."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

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
        """Within, batch normalisation uses the batch's own statistics and leaves the running ones as they are.

        With norms of its own, it has other scales and shifts within; they begin as the first ones, and are not stored.
        """

    def store(self) -> None:
        """Puts what was learnt into the networks, which are then in evaluation mode."""


def learner_of(networks: Sequence[nn.Module], own_norms: bool = False) -> Learner:
    """What trains ``networks``: see :func:`together`.

    Args:
        own_norms: see :meth:`Learner.statistics_apart`.
    """
    if all(type(network) is SmallResNet for network in networks):
        return StackedResNet(networks, own_norms)  # type: ignore[arg-type]
    return One(networks[0], own_norms) if len(networks) == 1 else Mapped(networks, own_norms)


def together(networks: Sequence[nn.Module], image: tuple[int, ...]) -> bool:
    """Whether these networks can be trained as one, each as if it were alone; else one must come after the other.

    Of networks that are not ours a processor gains nothing by it, and what draws random numbers, such as dropout, would
    draw others beside others.

    Args:
        image: the shape (C, H, W) of what they take.
    """
    if all(type(network) is SmallResNet for network in networks):
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
        self._own = own_scales(network) if own_norms else {}
        parameters = [value for value in network.parameters() if value.requires_grad]
        self.kernels: list[Tensor] = [value for value in parameters if value.ndim > 1]
        self.others: list[Tensor] = [value for value in parameters if value.ndim <= 1]
        self.others += [value for pair in self._own.values() for value in pair]
        self.device = next(network.parameters()).device

    def __call__(self, images: Tensor) -> Tensor:
        """See :class:`Learner`."""
        return self._network(images[0].contiguous(memory_format=torch.channels_last))[None]

    def zero_grad(self) -> None:
        """See :class:`Learner`."""
        for value in (*self.kernels, *self.others):
            value.grad = None

    def backward(self, loss: Tensor) -> None:
        """See :class:`Learner`."""
        loss.backward()

    @contextmanager
    def statistics_apart(self) -> Iterator[None]:
        """See :class:`Learner`."""
        with _untracked(self._network), _exchanged(self._own):
            yield

    def store(self) -> None:
        """See :class:`Learner`."""
        self._network.eval()


class Mapped:
    """Any networks of one shape without random numbers of their own, by ``torch.func.vmap``."""

    def __init__(self, networks: Sequence[nn.Module], own_norms: bool = False) -> None:
        self._networks = [network.train() for network in networks]
        self._parameters, self._buffers = torch.func.stack_module_state(self._networks)
        names = _names_of_norms(networks[0]) if own_norms else []
        self._own = {name: self._parameters[name].detach().clone().requires_grad_() for name in names}
        self._apart = False
        self.kernels = [value for value in self._parameters.values() if value.ndim > 2]
        self.others = [value for value in self._parameters.values() if value.ndim <= 2] + list(self._own.values())
        self.device = next(networks[0].parameters()).device

    def __call__(self, images: Tensor) -> Tensor:
        """See :class:`Learner`."""
        parameters = self._parameters | self._own if self._apart else self._parameters
        return torch.vmap(self._call)(parameters, self._buffers, images)

    def _call(self, parameters: dict[str, Tensor], buffers: dict[str, Tensor], images: Tensor) -> Any:
        return torch.func.functional_call(self._networks[0], (parameters, buffers), (images,))

    def zero_grad(self) -> None:
        """See :class:`Learner`."""
        for value in (*self.kernels, *self.others):
            value.grad = None

    def backward(self, loss: Tensor) -> None:
        """See :class:`Learner`."""
        loss.backward()

    @contextmanager
    def statistics_apart(self) -> Iterator[None]:
        """See :class:`Learner`."""
        self._apart = True
        try:
            with _untracked(self._networks[0]):
                yield
        finally:
            self._apart = False

    @torch.no_grad()
    def store(self) -> None:
        """See :class:`Learner`."""
        for index, network in enumerate(self._networks):
            for name, value in (*network.named_parameters(), *network.named_buffers()):
                value.copy_((self._parameters | self._buffers)[name][index])
            network.eval()


Norms = dict[nn.modules.batchnorm._BatchNorm, tuple[nn.Parameter, nn.Parameter]]
"""Scale and shift of each layer of batch normalisation."""


def own_scales(network: nn.Module) -> Norms:
    """A second scale and shift for each batch normalisation of ``network`` that has them, the same as the first."""
    norms = [norm for norm in _norms(network) if norm.affine]
    return {
        norm: (nn.Parameter(norm.weight.detach().clone()), nn.Parameter(norm.bias.detach().clone())) for norm in norms
    }


def _norms(network: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    return [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


def _names_of_norms(network: nn.Module) -> list[str]:
    """Of the scales and shifts of batch normalisation."""
    norms = set(_norms(network))
    found = [name for name, module in network.named_modules() if module in norms and module.affine]
    return [f"{name}.{part}" if name else part for name in found for part in ("weight", "bias")]


@contextmanager
def _exchanged(own: Norms) -> Iterator[None]:
    """Within, the layers have these scales and shifts."""
    shared = {norm: (norm.weight, norm.bias) for norm in own}
    _put(own)
    try:
        yield
    finally:
        _put(shared)


def _put(parameters: Norms) -> None:
    for norm, (weight, bias) in parameters.items():
        norm.weight, norm.bias = weight, bias


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
