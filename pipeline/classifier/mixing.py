"""MixUp, CutMix and CMO: a batch blended with itself, or with a balanced one."""

from typing import Literal

import numpy as np
import torch

Mix = Literal["none", "mixup", "cutmix", "cmo"]
MIXUP_ALPHA = 0.2  # Zhang et al. 2018 on ImageNet; CutMix draws uniformly
PASTED = 1 / 2 - 1 / 5 + 1 / 48  # the mean area of CutMix's box, cut off at the edges, as a share of the image's


def mix(images: torch.Tensor, others: torch.Tensor, kind: Mix, rng: np.random.Generator) -> tuple[torch.Tensor, float]:
    """Blends each image with another one, the whole batch in one proportion, as torchvision v2 does.

    ``mixup`` (Zhang et al. 2018) adds the two pixel by pixel; ``cutmix`` (Yun et al. 2019) pastes one box of the other.
    ``cmo`` (Park et al. 2022) does the same; what differs is where the others come from, a batch of balanced classes.

    Args:
        images: float32 (N, C, H, W).
        others: likewise.
        kind: ``none`` returns ``images`` as they are and asks for no random number.

    Returns:
        (N, C, H, W), and the share in [0, 1] of each image's own label; the rest is that of the other one.
    """
    if kind == "none":
        return images, 1.0
    if kind == "mixup":
        share = float(rng.beta(MIXUP_ALPHA, MIXUP_ALPHA))
        return torch.lerp(others, images, share), share
    height, width = images.shape[2:]
    half = 0.5 * np.sqrt(1 - rng.random())
    y, x = rng.random() * height, rng.random() * width
    top, bottom = int(np.clip(y - half * height, 0, height)), int(np.clip(y + half * height, 0, height))
    left, right = int(np.clip(x - half * width, 0, width)), int(np.clip(x + half * width, 0, width))
    mixed = images.clone()
    mixed[:, :, top:bottom, left:right] = others[:, :, top:bottom, left:right]
    return mixed, 1 - (bottom - top) * (right - left) / (height * width)
