"""A device that is not there: tensors without values, whose places torch checks as it does a GPU's.

    python -m tests.standin        # prints, as JSON, what each case copied to the device and from it

A tensor left on the wrong device ends a case with an error, and so does whatever waits for a value of the device's. A
program of its own, as a device is registered with a process for good.
"""

import json
import sys
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from itertools import cycle, product
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

from gan.augment import OPERATIONS
from gan.config import Config
from gan.networks import FAMILIES
from gan.probe import EVERY, Probe
from gan.recipes import RECIPES
from gan.sampler import Sampler
from gan.trainer import Labelled, Trainer
from pipeline.classifier import training
from pipeline.classifier.network import SmallResNet
from pipeline.training.watch import Watch

NAME = "standin"
MAIN = ("wgan-gp", "r3", "dcgan")  # recipes
COPIES = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)


class Backend(_DummyBackendModule):
    """What ``torch.autocast`` asks for, even where it is off."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]


class Copies(TorchDispatchMode):
    """Counts what goes between devices while it is active; nothing may be float64 there, which Apple's have not."""

    def __init__(self) -> None:
        super().__init__()
        self.there = self.back = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for made in tree_leaves(result):
            assert not (isinstance(made, Tensor) and made.device.type == NAME and made.dtype == torch.float64), func
        if func in COPIES:
            source = args[1] if func is COPIES[1] else args[0]
            moved = source.device.type != result.device.type
            self.there += moved and result.device.type == NAME
            self.back += moved and source.device.type == NAME
        return result


def _replaced(module: nn.Module, change: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
    """``Module._apply`` that puts new parameters in the place of the old ones; torch's own swaps what cannot be."""
    for child in module.children():
        _replaced(child, change)
    for name, parameter in module._parameters.items():
        if parameter is not None:
            module._parameters[name] = nn.Parameter(change(parameter.detach()), parameter.requires_grad)
    for name, buffer in module._buffers.items():
        if buffer is not None:
            module._buffers[name] = change(
                torch.empty(buffer.shape, dtype=buffer.dtype, device=buffer.device)
            )  # no constant
    return module


def _adam(known: Callable[..., None], *lists: Any, lr: Any, **others: Any) -> None:
    """The fused step, which torch knows for tensors without values as long as the rate is a number."""
    if isinstance(lr, Tensor):
        assert lr.device == lists[0][0].device
        lr = 1.0
    known(*lists, lr=lr, **others)


@contextmanager
def device() -> Any:
    """The device, and a mode in which no tensor has values."""
    _setup_privateuseone_for_python_backend(NAME, Backend())
    nn.Module._apply = _replaced  # type: ignore[assignment,method-assign]
    torch._fused_adamw_ = partial(_adam, torch._fused_adamw_)  # type: ignore[assignment]
    FakeTensorMode.__deepcopy__ = lambda mode, memo: mode  # type: ignore[attr-defined]
    with FakeTensorMode():
        yield torch.device(NAME)


def data(size: int = 8, channels: int = 1) -> Labelled:
    return Labelled(np.zeros((96, channels, size, size), np.uint8), np.arange(96) % 2, classes=2)


def iterate(config: Config, where: torch.device, fixed: bool = False) -> dict[str, int]:
    """The copies of one iteration; of one at fixed addresses that is not the first, which makes their place."""
    trainer = Trainer.on_images(config, data(), 0, where)
    trainer.strength = 0.5
    if fixed:
        trainer._fix()
        trainer.iteration()
    with Copies() as copies:
        figures = trainer.iteration()
    assert figures.device.type == NAME
    return {"there": copies.there, "back": copies.back}


def look(where: torch.device) -> dict[str, int]:
    """A look of the probe, by the way."""
    trainer = Trainer.on_images(Config(kimg=1, batch_size=12, width=8, latent_dim=8), data(), 0, where)
    probe = Probe(trainer, data(), data())
    with Copies() as copies:
        assert probe.look()
    assert probe.mean.device.type == NAME
    return {"there": copies.there, "back": copies.back}


def watch(where: torch.device) -> dict[str, int]:
    """A run's iteration with a look of the probe, and so many more as are read at once."""
    trainer = Trainer.on_images(Config(kimg=1, batch_size=12, width=8, latent_dim=8), data(), 0, where)
    watching = Watch(trainer, data(), data())
    trainer.done = EVERY - 1
    with Copies() as copies:
        watching.take(trainer.iteration())
    taken = 1
    while not watching.full:
        watching.take(watching._unread[0])
        taken += 1
    return {"there": copies.there, "back": copies.back, "at once": taken}


def draw(where: torch.device) -> dict[str, int]:
    """A block of the sampler, which comes back."""
    trainer = Trainer.on_images(Config(kimg=1, batch_size=12, width=8, latent_dim=8), data(), 0, where)
    assert Sampler(trainer.ema, 0, where).draw(1, 0, 5).device.type == "cpu"
    return {}


def classify(where: torch.device) -> dict[str, int]:
    """The classifier, which is the embedder too: batches come from the CPU, answers go there."""
    network = SmallResNet(2, 1, 8, width=16).to(where)
    images = data()
    training.draw_batches = lambda labels, steps, size, *_: np.arange(steps * size).reshape(steps, size)
    training.fit(network, images.images, images.labels, seed=0, steps=2, batch_size=8)
    with torch.inference_mode():
        floats = training._floats(images.images, where)
        assert network(floats).device.type == network.features(floats).device.type == NAME
    return {}


def stack(where: torch.device) -> dict[str, int]:
    """Three classifiers of an arm as one, with a second pass and mixing."""
    networks, images = [SmallResNet(2, 1, 8, width=16, seed=seed).to(where) for seed in range(3)], data()
    training.draw_batches = lambda labels, steps, size, *_: np.arange(steps * size).reshape(steps, size)
    extra = training.ExtraPass(images.images, np.arange(96), images.labels, 0.5, 8)
    tasks = [training.Task(images.images, images.labels, seed, extra) for seed in range(3)]
    recipe = training.Recipe("weights", "none", "cutmix")
    training.fit_all(networks, tasks, steps=2, batch_size=8, recipe=recipe)
    assert all(value.device.type == NAME for network in networks for value in network.state_dict().values())
    return {}


def cases() -> dict[str, Callable[[torch.device], dict[str, int]]]:
    """What is tried, by name."""
    small: dict[str, Any] = {"kimg": 1, "batch_size": 12, "width": 8, "latent_dim": 8}
    extras: dict[str, dict[str, Any]] = {
        "plain": {"augment": ()},
        "packed": {"packing": 2, "augment": OPERATIONS, "unlabelled_below": 4, "unlabelled_weight": 0.5},
        "grouped": {"minibatch_std": 4, "label_delay": 0.3, "penalty_every": 3, "adaptive": True, "weight_clip": 0.1},
    }
    extras["grouped"] |= {"lecam": 0.3, "historical_averaging": 0.01, "minibatch_discrimination": 4}
    extras["grouped"] |= {"feature_matching": 0.1, "spectral_weight": 0.5, "latent_prior": "class"}
    found: dict[str, Callable[[torch.device], dict[str, int]]] = {
        "look": look,
        "watch": watch,
        "draw": draw,
        "classify": classify,
        "stack": stack,
    }
    choices = [*product(MAIN, ("packed", "grouped")), *((recipe, "plain") for recipe in sorted({*RECIPES} - {*MAIN}))]
    for (recipe, name), family in zip(choices, cycle(sorted(FAMILIES))):
        further = {
            key: value
            for key, value in extras[name].items()
            if key != "spectral_weight" or FAMILIES[family].modulations
        }
        config = Config.of(recipe, family=family, **small | further)
        found[f"{recipe} {family} {name}"] = partial(iterate, config)
    found["wgan-gp resnet grouped"] = partial(iterate, Config.of("wgan-gp", **small | extras["grouped"]))
    found["stylegan2 adain"] = partial(iterate, Config.of("stylegan2", style="adain", **small))
    found["r3 fixed"] = partial(iterate, Config.of("r3", **small), fixed=True)
    return found


def main() -> None:
    with device() as where:
        json.dump({name: case(where) for name, case in cases().items()}, sys.stdout)


if __name__ == "__main__":
    main()
