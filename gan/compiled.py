"""The critic step as one compiled graph."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from gan.layout import channels_last
from gan.networks import Network
from gan.objective import Objective, Pair

Gradients = Callable[[Tensor, Tensor, Tensor, Tensor | None, Pair | None], Tensor]


def compiled_gradients(
    objective: Objective, critic: Network, otherwise: Gradients, note: Callable[[str], None]
) -> Gradients:
    """The gradients of the critic step as one graph, double backward included; gives the same figures as eager.

    A recorded CUDA graph (``gan.graphs``) spares the launches of kernels, but not their traffic with the memory; here
    what goes element by element becomes one kernel with its neighbours. The two go together.

    Args:
        otherwise: the same without compilation, for a machine that cannot compile.
        note: is told of that.

    Returns:
        (real, fake, labels, alpha, low) as :meth:`gan.objective.Objective.critic` takes them, to its figures (5,). A
        call leaves each parameter that is in use its gradient.
    """

    def total(
        parameters: dict[str, Tensor],
        real: Tensor,
        fake: Tensor,
        labels: Tensor,
        alpha: Tensor | None,
        low: Pair | None,
    ) -> tuple[Tensor, Tensor]:
        at = partial(torch.func.functional_call, critic, parameters)
        return objective.critic(lambda images, y: at((images, y)), real, fake, labels, alpha, low=low)

    differentiate = torch.compile(torch.func.grad_and_value(total, has_aux=True), fullgraph=True)
    failed = False

    def gradients(real: Tensor, fake: Tensor, labels: Tensor, alpha: Tensor | None, low: Pair | None) -> Tensor:
        nonlocal failed
        if failed:
            return otherwise(real, fake, labels, alpha, low)
        in_use = dict(critic.in_use())
        parameters = {name: parameter.detach() for name, parameter in in_use.items()}
        try:
            found, (_, figures) = differentiate(parameters, real, fake, labels, alpha, low)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, ImportError, OSError) as error:  # no compiler, or a network that it does not take
            failed = True
            note(f"the critic's step cannot be compiled here ({_brief(error)}): done uncompiled")
            return otherwise(real, fake, labels, alpha, low)
        for name, parameter in in_use.items():
            parameter.grad = channels_last(found[name])
        return figures

    return gradients


def _brief(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:160]}" if lines else type(error).__name__
