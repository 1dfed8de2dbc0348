"""Several small residual networks of one shape, trained as one: the same layers, a matrix more a network."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.classifier.layers import convolve, normalise
from pipeline.classifier.network import Block, SmallResNet

OWN = "own "  # before the name of a scale or shift that a second pass has for itself
ALIGNED = 16  # numbers: each network's weights begin where a vector of any processor may


class StackedResNet:
    """S networks whose weights lie side by side, so that each operation takes all of them.

    Each network's numbers are the same bits, whatever stands beside it.

    Attributes:
        kernels: one tensor (S, P), the weights of all convolutions and of the last layer.
        others: one tensor (S, Q), scales and biases.
        device: where they are.
    """

    def __init__(self, networks: Sequence[SmallResNet], own_norms: bool = False) -> None:
        self._networks = networks
        named = dict(networks[0].named_parameters())
        self._gradients: dict[str, Tensor] = {}
        decaying, kernels = self._flat([name for name, value in named.items() if value.ndim > 1])
        scales = [name for name, value in named.items() if value.ndim <= 1]
        self._own = {name: f"{OWN}{name}" for name in scales if not name.startswith("head.")} if own_norms else {}
        constant, others = self._flat([*scales, *self._own.values()])
        self.kernels, self.others, self.device = [decaying], [constant], decaying.device
        self._weights = kernels | others
        self._statistics = {
            name: torch.stack([network.get_buffer(name) for network in networks])
            for name, _ in networks[0].named_buffers()
        }
        self._track, self._fresh = True, set(self._weights)

    def _flat(self, names: Sequence[str]) -> tuple[Tensor, dict[str, Tensor]]:
        """The weights of ``names`` in one tensor, and each as a part of it."""
        stacked = {
            name: torch.stack([_arranged(one.get_parameter(name.removeprefix(OWN))) for one in self._networks])
            for name in names
        }
        sizes = {name: -(-value[0].numel() // ALIGNED) * ALIGNED for name, value in stacked.items()}
        flat = stacked[names[0]].new_zeros(len(self._networks), sum(sizes.values()))
        flat.grad, parts, start = torch.zeros_like(flat), {}, 0
        for name, value in stacked.items():
            taken = slice(start, start + value[0].numel())
            parts[name] = flat[:, taken].unflatten(1, value.shape[1:])
            parts[name].copy_(value.detach()).requires_grad_()
            self._gradients[name] = flat.grad[:, taken].unflatten(1, value.shape[1:])
            start += sizes[name]
        return flat, parts

    def zero_grad(self) -> None:
        """Forgets all gradients."""
        self._fresh = set(self._weights)
        if self._own:  # of which no pass reaches all
            for flat in (*self.kernels, *self.others):
                flat.grad.zero_()  # type: ignore[union-attr]

    def backward(self, loss: Tensor) -> None:
        """Adds the gradients of a sum of losses to those that there are."""
        found = torch.autograd.grad(loss, list(self._weights.values()), allow_unused=bool(self._own))
        given = {name: one for name, one in zip(self._weights, found, strict=True) if one is not None}
        fresh = [name for name in given if name in self._fresh]
        added = [name for name in given if name not in self._fresh]
        for names, gather in ((fresh, torch._foreach_copy_), (added, torch._foreach_add_)):
            if names:
                gather([self._gradients[name] for name in names], [given[name] for name in names])
        self._fresh -= set(given)

    @contextmanager
    def statistics_apart(self) -> Iterator[None]:
        """Within, batch normalisation uses the batch's own statistics and leaves the running ones as they are; with
        norms of its own, it has other scales and shifts."""
        self._track = False
        try:
            yield
        finally:
            self._track = True

    def __call__(self, images: Tensor) -> Tensor:
        """(S, N, C, H, W) float32 in [-1, 1] -> logits (S, N, classes)."""
        x = images.permute(0, 1, 3, 4, 2).contiguous()
        x = self._layer(self._networks[0].body, "body", x)
        return torch.baddbmm(self._weights["head.bias"].unsqueeze(1), x, self._weights["head.weight"])

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
                return x.mean(dim=(2, 3))
            case nn.Identity() | nn.Flatten():
                return x
        raise TypeError(f"no stack of {type(layer).__name__}")

    def _normalised(self, layer: nn.BatchNorm2d, name: str, x: Tensor) -> Tensor:
        names = (f"{name}.weight", f"{name}.bias")
        scale, shift = (self._weights[one if self._track else self._own.get(one, one)] for one in names)
        x, mean, variance = normalise(x, scale, shift, layer.eps)
        if self._track:
            count = x[0].numel() // x.shape[-1]
            momentum = layer.momentum or 0.0
            self._statistics[f"{name}.running_mean"].lerp_(mean, momentum)
            self._statistics[f"{name}.running_var"].lerp_(variance * (count / (count - 1)), momentum)
            self._statistics[f"{name}.num_batches_tracked"] += 1
        return x

    @torch.no_grad()
    def store(self) -> None:
        """Puts what was learnt into the networks, which are then in evaluation mode."""
        for index, network in enumerate(self._networks):
            network.eval()
            for name, value in network.named_parameters():
                value.copy_(_in_place(self._weights[name][index], value))
            for name, buffer in network.named_buffers():
                buffer.copy_(self._statistics[name][index])


def _arranged(weight: Tensor) -> Tensor:
    """A convolution's (O, C, H, W) -> (H, W, C, O), a linear layer's (O, C) -> (C, O)."""
    return weight.permute(2, 3, 1, 0) if weight.ndim == 4 else weight.t()


def _in_place(arranged: Tensor, weight: Tensor) -> Tensor:
    """The other way round."""
    return arranged.permute(3, 2, 0, 1) if weight.ndim == 4 else arranged.t()
