"""Adam against torch's own: the same bits."""

import subprocess
import sys

import pytest
import torch

from gan.optimizers import Adam


def weights() -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(shape, requires_grad=True) for shape in ((), (3,), (5, 4), (2, 3, 3, 3))]


@pytest.mark.parametrize(("betas", "weight_decay"), [((0.0, 0.9), 0.0), ((0.9, 0.999), 0.05)])
def test_it_moves_weights_as_torchs_adamw_does(betas: tuple[float, float], weight_decay: float) -> None:
    ours, theirs = weights(), weights()
    optimizer = Adam(ours, 0.1, betas, weight_decay)
    reference = torch.optim.AdamW(theirs, lr=0.1, betas=betas, weight_decay=weight_decay, fused=True)
    for step in range(5):
        optimizer.lr = reference.param_groups[0]["lr"] = 0.1 / (step + 1)
        for own, other in zip(ours, theirs, strict=True):
            own.grad = other.grad = torch.randn_like(own)
        if step == 2:
            ours[1].grad = theirs[1].grad = None  # stays, with its moments
        optimizer.step()
        reference.step()
    for own, other in zip(ours, theirs, strict=True):
        assert torch.equal(own, other)


def test_without_decay_it_is_adam() -> None:
    ours, theirs = weights(), weights()
    optimizer, reference = Adam(ours, 0.1, (0.0, 0.9)), torch.optim.Adam(theirs, lr=0.1, betas=(0.0, 0.9), fused=True)
    for _ in range(3):
        for own, other in zip(ours, theirs, strict=True):
            own.grad = other.grad = torch.randn_like(own)
        optimizer.step()
        reference.step()
    assert all(torch.equal(own, other) for own, other in zip(ours, theirs, strict=True))


def test_what_was_done_can_be_taken_up_in_place() -> None:
    first, second = weights(), weights()
    one, other = Adam(first, 0.1), Adam(second, 0.1)
    held = other.moments()
    for weight in first:
        weight.grad = torch.ones_like(weight)
    one.step()
    other.load_moments(one.moments())
    assert all(
        torch.equal(value, one.moments()[name]) and value is held[name] for name, value in other.moments().items()
    )
    other.load_moments({})
    assert not any(value.any() for value in held.values())
    with pytest.raises(RuntimeError, match="2/exp_avg"):
        other.load_moments(one.moments() | {"2/exp_avg": torch.zeros(1)})


@pytest.mark.parametrize("module", ["pipeline.stages.train", "pipeline.stages.evaluate", "pipeline.experiment.trial"])
def test_no_stage_waits_for_torchs_compiler(module: str) -> None:
    """It is a third of all imports, and torch's optimisers and torchvision load it."""
    code = (
        f"import sys, torch, {module}\nfrom gan.optimizers import Adam\nweight = torch.ones(2, requires_grad=True)\n"
        "weight.sum().backward()\nAdam([weight], 0.1).step()\n"
        "from gan.memory import peak_bytes; from gan.config import Config; from gan.networks import Shape\n"
        "peak_bytes(Config(kimg=1.0, batch_size=4, width=4), Shape(8, 1, 2, 64, 4), torch.device('cpu'))\n"
        "print([name for name in ('torch._dynamo', 'torchvision') if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n", told.stderr
