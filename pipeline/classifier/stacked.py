"""Several small residual networks of one shape, trained as one: the same layers, a matrix more a network."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.classifier.layers import beside_itself, convolve, normalise
from pipeline.classifier.network import Block, SmallResNet

ALIGNED = 16  # numbers: each network's weights begin where a vector of any processor may


class _Flat(NamedTuple):
    """Weights in one tensor (S, P) with its gradient, and each weight and its gradient as a part of these."""

    all: Tensor
    parts: dict[str, Tensor]
    gradients: dict[str, Tensor]


class StackedResNet:
    """S networks whose weights lie side by side, so that each operation takes all of them.

    Each network's numbers are the same bits, whatever stands beside it.

    Attributes:
        kernels: of each network one tensor (P,), the weights of all convolutions and of the last layer.
        others: of each a tensor (Q,), scales and biases, and one of the second set of these that ``own_norms`` gives.
        device: where they are.
    """

    def __init__(self, networks: Sequence[SmallResNet], own_norms: bool = False) -> None:
        self._networks = networks
        on_cpu = next(networks[0].parameters()).device.type == "cpu"  # where layers see to the bits of one network
        self._stacked = networks if on_cpu else [*networks, *networks][: max(2, len(networks))]
        named = dict(networks[0].named_parameters())
        constant = [name for name, value in named.items() if value.ndim <= 1]
        kernels, others = self._flat([name for name in named if name not in constant]), self._flat(constant)
        self._flats, self.device = [kernels.all, others.all], kernels.all.device
        self._weights, self._gradients = kernels.parts | others.parts, kernels.gradients | others.gradients
        self._own: _Flat | None = None
        if own_norms:
            self._own = self._flat([name for name in constant if name.startswith("body.")])
            self._flats.append(self._own.all)
        rows = [[_row(flat, index) for flat in self._flats] for index in range(len(networks))]
        self.kernels, self.others = [of_one[:1] for of_one in rows], [of_one[1:] for of_one in rows]
        self._statistics = {
            name: torch.stack([network.get_buffer(name) for network in self._stacked])
            for name, _ in networks[0].named_buffers()
        }
        self._track = self._fresh = True

    def _flat(self, names: Sequence[str]) -> _Flat:
        stacked = {name: torch.stack([_arranged(one.get_parameter(name)) for one in self._stacked]) for name in names}
        sizes = {name: -(-value[0].numel() // ALIGNED) * ALIGNED for name, value in stacked.items()}
        flat = stacked[names[0]].new_zeros(len(self._stacked), sum(sizes.values()))
        flat.grad, parts, gradients, start = torch.zeros_like(flat), {}, {}, 0
        for name, value in stacked.items():
            taken = slice(start, start + value[0].numel())
            parts[name] = flat[:, taken].unflatten(1, value.shape[1:])
            parts[name].copy_(value.detach()).requires_grad_()
            gradients[name] = flat.grad[:, taken].unflatten(1, value.shape[1:])
            start += sizes[name]
        return _Flat(flat, parts, gradients)

    def zero_grad(self) -> None:
        """Forgets all gradients."""
        self._fresh = self._own is None
        if self._own is not None:  # no pass then has gradients of all weights
            for flat in self._flats:
                flat.grad.zero_()  # type: ignore[union-attr]

    def backward(self, loss: Tensor) -> None:
        """Adds the gradients of a sum of losses to those that there are."""
        found = torch.autograd.grad(loss, list(self._weights.values()))
        gather = torch._foreach_copy_ if self._fresh else torch._foreach_add_
        gather([self._gradients[name] for name in self._weights], found)
        self._fresh = False

    @contextmanager
    def statistics_apart(self) -> Iterator[None]:
        """See :class:`pipeline.classifier.learners.Learner`."""
        shared = self._weights, self._gradients
        self._track = False
        if self._own is not None:
            self._weights, self._gradients = shared[0] | self._own.parts, shared[1] | self._own.gradients
        try:
            yield
        finally:
            self._track = True
            self._weights, self._gradients = shared

    def __call__(self, images: Tensor) -> Tensor:
        """(S, N, C, H, W) float32 in [-1, 1] -> logits (S, N, classes)."""
        x = images.expand(len(self._stacked), -1, -1, -1, -1).permute(1, 3, 4, 0, 2).contiguous()
        x = self._layer(self._networks[0].body, "body", x).transpose(0, 1)
        head = [self._weights["head.bias"].unsqueeze(1), x, self._weights["head.weight"]]
        if len(x) == 1:  # a product alone may be another than in a batch
            head = [beside_itself(one, 0) for one in head]
        return torch.baddbmm(*head)[: len(self._networks)]

    def _layer(self, layer: nn.Module, name: str, x: Tensor) -> Tensor:
        match layer:
            case nn.Sequential():
                for key, inner in layer.named_children():
                    x = self._layer(inner, f"{name}.{key}", x)
                return x
            case Block():
                residual = self._layer(layer.residual, f"{name}.residual", x)
                return F.relu_(residual + self._layer(layer.shortcut, f"{name}.shortcut", x))
            case nn.Conv2d():
                return convolve(x, self._weights[f"{name}.weight"], layer.stride[0])
            case nn.BatchNorm2d():
                return self._normalised(layer, name, x)
            case nn.ReLU():
                return F.relu_(x)
            case nn.AdaptiveAvgPool2d():
                return x.mean(dim=(1, 2))
            case nn.Identity() | nn.Flatten():
                return x
        raise TypeError(f"no stack of {type(layer).__name__}")

    def _normalised(self, layer: nn.BatchNorm2d, name: str, x: Tensor) -> Tensor:
        mean, variance = (self._statistics[f"{name}.running_{kind}"] for kind in ("mean", "var"))
        if self._track:
            self._statistics[f"{name}.num_batches_tracked"] += 1
        statistics = (mean, variance) if self._track else None
        return normalise(x, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"], statistics, layer.eps)

    @torch.no_grad()
    def store(self) -> None:
        """Puts what was learnt into the networks, which are then in evaluation mode."""
        for index, network in enumerate(self._networks):
            network.eval()
            for name, value in network.named_parameters():
                value.copy_(_in_place(self._weights[name][index], value))
            for name, buffer in network.named_buffers():
                buffer.copy_(self._statistics[name][index])


def _row(flat: Tensor, index: int) -> Tensor:
    """One network's part of weights (S, P), with its part of their gradient."""
    row = flat[index]
    row.grad = flat.grad[index]  # type: ignore[index]
    return row


def _arranged(weight: Tensor) -> Tensor:
    """A convolution's (O, C, H, W) -> (H, W, C, O), a linear layer's (O, C) -> (C, O)."""
    return weight.permute(2, 3, 1, 0) if weight.ndim == 4 else weight.t()


def _in_place(arranged: Tensor, weight: Tensor) -> Tensor:
    """The other way round."""
    return arranged.permute(3, 2, 0, 1) if weight.ndim == 4 else arranged.t()
