"""The GAN's configuration, once device and data are known."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from gan.augment import choose
from gan.config import Config
from pipeline.params import TrainParams
from pipeline.training.automatic import settled


def gan_config(params: TrainParams, device: torch.device, counts: Sequence[int], image_size: int) -> Config:
    """What ``auto`` stands for: bfloat16 where the hardware has it, compiled on CUDA, augmented by the set's size.

    Of recipe and family see :mod:`pipeline.training.automatic`.

    Args:
        params: the choices.
        device: where the run will be.
        counts: train images a class.
        image_size: in pixels.
    """
    params, _ = settled(params, image_size, device.type)
    precision, compiled, config = params.precision, params.compiled, params.config
    if precision == "auto":
        precision = "bfloat16" if has_bfloat16(device) else "float32"
    if compiled == "auto":
        compiled = device.type == "cuda"
    if params.augment == "auto":
        config = replace(config, augment=choose(counts), adaptive=True)
    return replace(config, precision=precision, compiled=compiled)


def has_bfloat16(device: torch.device) -> bool:
    """Whether the hardware computes in bfloat16, not in an emulation that is slower than float32.

    Older GPUs (V100, T4) have none; nor have processors without AVX512-bf16, or one that ``ATEN_CPU_CAPABILITY``
    tells to do without.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    allowed = torch.backends.cpu.get_cpu_capability().startswith("AVX512")
    return allowed and bool(torch.cpu.get_capabilities().get("avx512_bf16", False))
