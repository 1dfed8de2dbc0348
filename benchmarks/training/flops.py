"""How many floating-point operations a piece of work takes, second derivatives included."""

from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


class Flops(TorchDispatchMode):
    """Counts those of products and convolutions while it is active.

    ``FlopCounterMode`` counts by the same table, but its hooks do not go with gradients of gradients.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if counted := flop_registry.get(func._overloadpacket):
            self.total += counted(*args, **(kwargs or {}), out_val=made)
        return made
