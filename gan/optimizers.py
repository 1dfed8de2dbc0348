"""Adam, in one call of torch's own kernel a step.

Torch's optimisers around that kernel load its compiler when they are made, which takes a processor seconds at the start
of every program that trains. Here moments also stay where they are, so that what was recorded of an iteration stays
true.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor


class Adam:
    """Adam with decoupled weight decay (Kingma & Ba 2015; Loshchilov & Hutter 2019, AdamW; 0 is Adam itself).

    Args:
        parameters: what is moved by its gradients; what has none stays, and so do its moments.

    Attributes:
        lr: the learning rate of the next step: a number, or a tensor () for a step that is recorded.
        betas: of the next step.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.0,
    ) -> None:
        self.parameters = list(parameters)
        self.lr: float | Tensor = lr
        self.betas, self._weight_decay = betas, weight_decay
        self._steps = [torch.zeros((), dtype=torch.float32, device=one.device) for one in self.parameters]
        self._means, self._squares = (
            [torch.zeros_like(one, memory_format=torch.preserve_format).detach() for one in self.parameters]
            for _ in range(2)
        )

    def zero_grad(self) -> None:
        """Leaves no gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Moves the parameters."""
        rows = zip(self.parameters, self._means, self._squares, self._steps, strict=True)
        moved = [(one, one.grad, *state) for one, *state in rows if one.grad is not None]
        if not moved:
            return
        parameters, gradients, means, squares, steps = (list(column) for column in zip(*moved, strict=True))
        torch._foreach_add_(steps, 1)
        beta1, beta2 = self.betas
        torch._fused_adamw_(
            parameters,
            gradients,
            means,
            squares,
            [],
            steps,
            lr=self.lr,
            beta1=beta1,
            beta2=beta2,
            weight_decay=self._weight_decay,
            eps=1e-8,
            amsgrad=False,
            maximize=False,
        )

    def moments(self) -> dict[str, Tensor]:
        """The state by name, ``<parameter's number>/<slot>``."""
        slots = {"step": self._steps, "exp_avg": self._means, "exp_avg_sq": self._squares}
        return {f"{index}/{slot}": held[index] for index in range(len(self.parameters)) for slot, held in slots.items()}

    @torch.no_grad()
    def load_moments(self, given: Mapping[str, Tensor]) -> None:
        """Takes up what :meth:`moments` gave, in place; nothing stands for a beginning.

        Raises:
            KeyError: a part is missing.
            RuntimeError: a part has another shape.
        """
        for name, held in self.moments().items():
            if not given:
                held.zero_()
            elif given[name].shape != held.shape:
                raise RuntimeError(f"{name}: {tuple(given[name].shape)} in the place of {tuple(held.shape)}")
            else:
                held.copy_(given[name])
