"""All random numbers come from one seed, split by name, so that new ones in one place change none elsewhere."""

import hashlib

import torch


def derive(seed: int, *names: str | int) -> int:
    """The seed of one named stream: ``derive(0, "train.batch", 17)``.

    >>> derive(0, "train.batch", 17) == derive(0, "train.batch", 17) != derive(0, "train.batch", 18)
    True

    Args:
        seed: the project's seed, any integer.
        names: the stream's name, then whatever tells its members apart (a step, a class, a block).

    Returns:
        An integer in [0, 2**63), the first 63 bits of the SHA-256 of all the parts.
    """
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def stream(seed: int, *names: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A torch generator at the start of the stream named by ``names`` (see :func:`derive`)."""
    return torch.Generator(device=device).manual_seed(derive(seed, *names))
