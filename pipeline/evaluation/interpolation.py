"""The way from one latent to another: a generator that has learnt a class by heart jumps, others glide."""

import torch
from torch import Tensor

from gan.ensemble import Ensemble
from gan.networks import Network
from gan.pixels import to_pixels
from gan.seeds import stream

STEPS = 12
FLAT = 1e-4


def slerp(first: Tensor, second: Tensor, steps: int) -> Tensor:
    """Points at equal angles on the great circle from ``first`` to ``second``, their lengths going over likewise.

    Straight lines between normal latents of many dimensions pass through lengths that none of them has (White 2016).

    Args:
        first: float (D,), not zero.
        second: likewise. Where both lie on one line, as all do for D = 1, the way is straight.
        steps: how many, both ends included; 2 at least.

    Returns:
        float (steps, D).
    """
    lengths = first.norm(), second.norm()
    one, two = first / lengths[0], second / lengths[1]
    angle = torch.acos((one @ two).clamp(-1, 1))
    t = torch.linspace(0, 1, steps, dtype=first.dtype)[:, None]
    if torch.sin(angle) < FLAT:
        direction = torch.lerp(one, two, t)
    else:
        direction = (torch.sin((1 - t) * angle) * one + torch.sin(t * angle) * two) / torch.sin(angle)
    return direction * torch.lerp(*lengths, t)


@torch.inference_mode()
def interpolated(generator: Network, label: int, seed: int) -> Tensor:
    """Images of one class between two random latents, uint8 (STEPS, C, H, W) on the CPU.

    Args:
        generator: in eval mode; of an ensemble, whose members take turns, the first one.
        label: the class.
        seed: the project's.
    """
    ends = torch.randn(2, generator.shape.latent_dim, generator=stream(seed, "evaluate.interpolation", label))
    labels = torch.full((STEPS,), label, dtype=torch.int64)
    network = generator.members[0] if isinstance(generator, Ensemble) else generator
    return to_pixels(network(slerp(ends[0], ends[1], STEPS), labels).float())
