"""Networks of few channels: the layout that keeps out of a fault of oneDNN, with the kernels of every processor."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from gan.layout import keep_contiguous, unsafe_channels_last
from pipeline.classifier.architectures import build
from pipeline.classifier.network import SmallResNet
from pipeline.params import ClassifyParams

CHECKER = "libc_malloc_debug.so.0"
TRAINED = """
import itertools
import numpy as np
from pipeline.classifier.network import SmallResNet
from pipeline.classifier.training import fit, logits

for width, (channels, size, batch) in itertools.product((4, 5, 6, 7, 9), ((1, 8, 64), (3, 16, 2), (1, 33, 5))):
    images = np.random.default_rng(0).integers(0, 256, (12, channels, size, size), dtype=np.uint8)
    network = SmallResNet(3, channels, size, width=width)
    fit(network, images, np.arange(12) % 3, seed=0, steps=3, batch_size=batch)
    assert np.isfinite(logits(network, images)).all(), (width, channels, size, batch)
print("all trained")
"""


def _checker() -> dict[str, str]:
    """The environment in which glibc checks each block of memory, where it can."""
    try:
        ctypes.CDLL(CHECKER)
    except OSError:
        return {}
    return {"LD_PRELOAD": CHECKER, "GLIBC_TUNABLES": "glibc.malloc.check=3:glibc.malloc.perturb=165"}


def test_small_widths_are_trained_without_damage_to_memory() -> None:
    """With the kernels for AVX2, which take 8 channels at once; they are there on every x86 processor of today."""
    environment = os.environ | _checker() | {"ONEDNN_MAX_CPU_ISA": "AVX2", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", TRAINED], env=environment, capture_output=True, text=True, cwd=Path(__file__).parents[3]
    )
    assert (done.returncode, done.stdout) == (0, "all trained\n"), done.stderr


@pytest.mark.parametrize(("width", "unsafe"), [(4, True), (7, True), (15, True), (16, False), (33, False)])
def test_channels_last_is_for_widths_that_fill_a_block(width: int, unsafe: bool) -> None:
    network = SmallResNet(2, 3, 16, width=width)
    assert unsafe_channels_last(network) is unsafe
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    seen = []
    for layer in layers:
        layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network(torch.randn(4, 3, 16, 16).contiguous(memory_format=torch.channels_last))
    strided = [x for layer, x in zip(layers, seen, strict=True) if layer.kernel_size == (1, 1) and layer.stride[0] > 1]
    assert len(strided) == 2
    assert [x.is_contiguous() for x in strided] == [unsafe] * 2


@pytest.mark.parametrize(
    ("layer", "unsafe"),
    [
        (nn.Conv2d(15, 8, 1, stride=2), True),
        (nn.Conv2d(3, 8, 1, stride=(1, 2)), True),
        (nn.Conv2d(16, 8, 1, stride=2), False),
        (nn.Conv2d(3, 8, 1), False),
        (nn.Conv2d(3, 8, 3, stride=2), False),
        (nn.Linear(3, 8), False),
    ],
)
def test_what_is_unsafe_is_a_stride_a_kernel_of_one_pixel_and_few_channels(layer: nn.Module, unsafe: bool) -> None:
    assert unsafe_channels_last(nn.Sequential(nn.Sequential(layer))) is unsafe


def test_the_layout_changes_no_result() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 1, stride=2), nn.ReLU(), nn.Conv2d(8, 2, 3))
    network.to(memory_format=torch.channels_last)
    images = torch.randn(5, 3, 16, 16).contiguous(memory_format=torch.channels_last)
    before = network(images)
    keep_contiguous(network)
    torch.testing.assert_close(network(images), before)
    assert network(images).is_contiguous() and network[2].weight.is_contiguous()


def test_a_network_of_ones_own_is_kept_out_of_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "few_channels.py").write_text(
        "from torch import nn\n\n\n"
        "def thin(classes, channels, image_size):\n"
        "    layers = nn.Conv2d(channels, 4, 3, padding=1), nn.Conv2d(4, 8, 1, stride=2), nn.AdaptiveAvgPool2d(1)\n"
        "    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(8, classes))\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(sys, "path", sys.path.copy())
    network = build(ClassifyParams(classifier="few_channels:thin"), tmp_path, 2, 3, 16, seed=0)
    assert isinstance(network, nn.Sequential)
    seen: list[torch.Tensor] = []
    network[1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network(torch.from_numpy(np.zeros((2, 3, 16, 16), np.float32)).contiguous(memory_format=torch.channels_last))
    assert seen[0].is_contiguous()
