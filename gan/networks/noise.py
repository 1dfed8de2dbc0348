"""Random numbers that an image takes from the bits of its own latent vector.

So an image stays a function of (generator, latent vector, label), whatever stands beside it in the batch, and nothing
has to be handed down to the layers, drawn on the processor, or kept for a resumed run. The numbers are hashes of
(vector, stream, place), in integer arithmetic alone until the last step.
"""

import math

import torch
from torch import Tensor

# the finalisation of MurmurHash3, whose constants are here as signed numbers: products wrap around
_FACTORS = (-2048144789, -1028477387)
_GOLDEN = -1640531527  # 2^32 over the golden ratio


def seeds(z: Tensor) -> Tensor:
    """A number of 32 bits for each latent vector, which hangs on every bit of it as float32.

    >>> z = torch.randn(2, 8)
    >>> bool((seeds(z) == torch.cat([seeds(z[:1]), seeds(z[1:])])).all())
    True

    Args:
        z: float (N, latent_dim); no gradient flows through.

    Returns:
        int32 (N,).
    """
    bits = z.detach().float().contiguous().view(torch.int32)
    return _hashed(_hashed(bits ^ _places(bits.shape[1], 0, bits.device)).sum(dim=1, dtype=torch.int32))


def words(seed: Tensor, stream: int, count: int) -> Tensor:
    """``count`` numbers of 32 random bits for each seed.

    Args:
        seed: int32 (N,).
        stream: tells independent uses apart.

    Returns:
        int32 (N, count).
    """
    return _hashed(seed[:, None] ^ _places(count, stream, seed.device))


def uniforms(seed: Tensor, stream: int, count: int) -> Tensor:
    """``count`` numbers in (0, 1) for each seed, float32 (N, count); see :func:`words`."""
    return ((words(seed, stream, count) >> 8 & 0xFFFFFF).float() + 0.5) * 2.0**-24


def normals(seed: Tensor, stream: int, count: int) -> Tensor:
    """``count`` numbers of a standard normal distribution for each seed (Box & Muller 1958); see :func:`words`.

    Returns:
        float32 (N, count).
    """
    radius, angle = uniforms(seed, stream, count + count % 2).chunk(2, dim=1)
    radius, angle = (-2 * radius.log()).sqrt(), 2 * math.pi * angle
    return torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)[:, :count]


def _places(count: int, stream: int, device: torch.device) -> Tensor:
    return _hashed(_hashed(torch.arange(count, dtype=torch.int32, device=device) * _GOLDEN) + (stream + 1))


def _hashed(x: Tensor) -> Tensor:
    for shift, factor in zip((16, 13), _FACTORS, strict=True):
        x = (x ^ _shifted(x, shift)) * factor
    return x ^ _shifted(x, 16)


def _shifted(x: Tensor, bits: int) -> Tensor:
    """To the right, with zeros moving in; the sign would."""
    return x >> bits & (1 << 32 - bits) - 1
