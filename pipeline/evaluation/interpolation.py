"""The way from one latent to another: a generator that has learnt a class by heart jumps, others glide."""

from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from gan.ensemble import Ensemble
from gan.networks import Network
from gan.pixels import to_pixels
from gan.seeds import stream
from pipeline.atomic import replacing
from pipeline.sampling import generator_for, picture_kind
from pipeline.sheets import grid

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


def interpolated(generator: Network, label: int, seed: int) -> Tensor:
    """Images of one class between two random latents, uint8 (STEPS, C, H, W) on the CPU; see :func:`ways`."""
    return ways(generator, label, seed, rows=1, steps=STEPS)[0]


@torch.inference_mode()
def ways(generator: Network, label: int, seed: int, rows: int, steps: int) -> Tensor:
    """Images of one class from each random latent to the next, uint8 (rows, steps, C, H, W) on the CPU.

    Args:
        generator: in eval mode; of an ensemble, whose members take turns, the first one.
        label: the class.
        seed: names the sequence of latents.
        rows: ways; each begins where the one before ends.
        steps: images a way, both ends included; 2 at least.
    """
    ends = torch.randn(rows + 1, generator.shape.latent_dim, generator=stream(seed, "evaluate.interpolation", label))
    labels = torch.full((steps,), label, dtype=torch.int64)
    network = generator.members[0] if isinstance(generator, Ensemble) else generator
    made = [to_pixels(network(slerp(first, second, steps), labels).float()) for first, second in pairwise(ends)]
    return torch.stack(made)


def write_ways(model: Path, class_name: str, rows: int, steps: int, seed: int, out: Path) -> None:
    """Writes :func:`ways` as a picture, one a row.

    Raises:
        UserError: no usable generator, an unknown class, or a kind of file that cannot be written.
        OSError: ``out`` cannot be written.
    """
    generator, label = generator_for(model, class_name)
    kind = picture_kind(out)
    images = ways(generator, label, seed, rows, steps).numpy()
    with replacing(out) as (part,):
        grid(images).save(part, kind)
