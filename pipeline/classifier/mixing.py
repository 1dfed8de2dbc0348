"""MixUp and CutMix: a batch blended with itself."""

from typing import Literal

import numpy as np
import torch

Mix = Literal["none", "mixup", "cutmix"]
MIXUP_ALPHA = 0.2  # Zhang et al. 2018 on ImageNet; CutMix draws uniformly


def mix(images: torch.Tensor, kind: Mix, rng: np.random.Generator) -> tuple[torch.Tensor, float]:
    """Blends each image with the one before it, the whole batch in one proportion, as torchvision v2 does.

    ``mixup`` (Zhang et al. 2018) adds the two pixel by pixel; ``cutmix`` (Yun et al. 2019) pastes one box.

    Args:
        images: float32 (N, C, H, W).
        kind: ``none`` returns ``images`` as they are and asks for no random number.

    Returns:
        (N, C, H, W), and the share in [0, 1] of each image's own label; the rest is that of ``labels.roll(1)``.
    """
    if kind == "none":
        return images, 1.0
    if kind == "mixup":
        share = float(rng.beta(MIXUP_ALPHA, MIXUP_ALPHA))
        return torch.lerp(images.roll(1, 0), images, share), share
    height, width = images.shape[2:]
    half = 0.5 * np.sqrt(1 - rng.random())
    y, x = rng.random() * height, rng.random() * width
    top, bottom = int(np.clip(y - half * height, 0, height)), int(np.clip(y + half * height, 0, height))
    left, right = int(np.clip(x - half * width, 0, width)), int(np.clip(x + half * width, 0, width))
    mixed = images.clone()
    mixed[:, :, top:bottom, left:right] = images.roll(1, 0)[:, :, top:bottom, left:right]
    return mixed, 1 - (bottom - top) * (right - left) / (height * width)
