"""Several processes train one GAN: what each leaves is what one process leaves that has the whole batch.

The processes are real ones, joined by gloo over a file in the place of a network.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

from gan.config import Config
from gan.following import Leader, begin, follow, release
from gan.ranks import Ranks
from gan.trainer import Trainer
from tests.gan.test_trainer import CPU, bars

TINY: dict[str, Any] = {"kimg": 1, "batch_size": 16, "width": 4, "latent_dim": 4, "ema_kimg": 0.1}
SETTINGS: dict[str, dict[str, Any]] = {
    "wgan-gp": {"lecam": 0.1, "historical_averaging": 0.01},
    "r3": {"recipe": "r3", "family": "dcgan", "penalty_every": 2, "unlabelled_below": 4, "unlabelled_weight": 0.5},
    "styled": {"recipe": "stylegan2"},
    "uneven": {"batch_size": 24, "minibatch_std": 4, "penalty_fraction": 0.4},
    "packed": {"packing": 2, "feature_matching": 1.0, "adaptive": True, "augment": ("translate",)},
}


Made = TypeVar("Made", bound=Trainer)


def made(setting: str, ranks: Ranks | None = None, kind: type[Made] = Trainer) -> Made:  # type: ignore[assignment]
    choices = TINY | SETTINGS[setting]
    config = Config.of(choices.pop("recipe", "wgan-gp"), **choices)
    return kind.on_images(config, bars(), 0, CPU, ranks)


def joined(rank: int, count: int, folder: str, work: Callable[[Ranks, Path], None]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=count)
    work(Ranks(rank, count), Path(folder))
    dist.destroy_process_group()


def together(count: int, folder: Path, work: Callable[[Ranks, Path], None]) -> None:
    mp.spawn(joined, (count, str(folder), work), nprocs=count)


def steps(ranks: Ranks, folder: Path) -> None:
    """The gradients of the first critic's and generator's step, and three iterations, of every setting."""
    for setting in SETTINGS:
        torch.save(left_by(made(setting, ranks)), folder / f"{setting}_{ranks.rank}.pt")


def left_by(trainer: Trainer) -> dict[str, Tensor]:
    trainer.strength = 0.5
    before = {name: tensor.clone() for name, tensor in trainer.critic.state_dict().items()}
    found = {"critic figures": trainer._critic_step(trainer._draw_critic(0))}
    found["critic gradients"] = torch.cat([one.grad.flatten() for one in trainer.critic.parameters()])
    trainer.critic.load_state_dict(before)  # Adam's first step makes much of gradients that are nothing but rounding
    found["generator figures"] = trainer._generator_step(trainer._draw_generator())
    found["generator gradients"] = torch.cat([one.grad.flatten() for one in trainer.generator.parameters()])
    for _ in range(3):
        found["figures"] = trainer.iteration()
    return found | trainer.state()


@pytest.mark.parametrize("count", [2, 4])
def test_the_processes_leave_what_one_leaves(tmp_path: Path, count: int) -> None:
    together(count, tmp_path, steps)
    for setting in SETTINGS:
        whole = left_by(made(setting))
        first, *others = [torch.load(tmp_path / f"{setting}_{rank}.pt", weights_only=True) for rank in range(count)]
        for name in ("critic gradients", "generator gradients"):
            assert float((first[name] - whole[name]).norm() / whole[name].norm()) <= 1e-5, (setting, name)
        torch.testing.assert_close(first["critic figures"], whole["critic figures"], rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(first["figures"], whole["figures"], rtol=5e-2, atol=1e-3)
        for other in others:  # to the bit: nothing may drift apart
            assert all(torch.equal(first[name], other[name]) for name in first), setting


def led(ranks: Ranks, folder: Path) -> None:
    """The leader trains, goes back to a state, changes strength and rates, and trains on; the others follow."""
    trainer = made("packed", ranks, Leader)
    if ranks.rank:
        follow(ranks, lambda run: {7: trainer}[run])
    else:
        begin(ranks, 7)
        trainer.iteration()
        kept = {name: tensor.clone() for name, tensor in trainer.state().items()}
        trainer.iteration()
        trainer.load_state(kept)
        trainer.strength, trainer.lr_scale = 0.25, 0.5
        trainer.iteration(0.7)
        trainer.dismiss()
        release(ranks)
    torch.save(trainer.state(), folder / f"led_{ranks.rank}.pt")


def averaged(ranks: Ranks, folder: Path) -> None:
    same, own = torch.full((3,), 0.1), torch.full((2,), float(ranks.rank))
    ranks.average([same, own])
    assert ranks.gather(f"process {ranks.rank}") == [f"process {number}" for number in range(ranks.count)]
    torch.save([same, own, torch.tensor(ranks.any(ranks.rank == 2))], folder / f"average_{ranks.rank}.pt")


def odd(ranks: Ranks, folder: Path) -> None:
    led(ranks, folder)
    averaged(ranks, folder)


def test_the_others_do_what_the_leader_decides(tmp_path: Path) -> None:
    together(3, tmp_path, odd)
    first, *others = (torch.load(tmp_path / f"led_{rank}.pt", weights_only=True) for rank in range(3))
    assert int(first["done"]) == 2 and float(first["lr_scale"]) == 0.5 and float(first["strength"]) == 0.25
    assert all(torch.equal(first[name], other[name]) for other in others for name in first)
    same, own, happened = torch.load(tmp_path / "average_1.pt", weights_only=True)
    # what is equal everywhere stays so to the bit
    assert torch.equal(same, torch.full((3,), 0.1)) and torch.equal(own, torch.ones(2)) and bool(happened)


def test_one_process_is_a_run_like_any() -> None:
    plain, leading = made("wgan-gp"), made("wgan-gp", kind=Leader)
    plain.iteration()
    leading.iteration()
    assert all(
        torch.equal(one, other) for one, other in zip(plain.state().values(), leading.state().values(), strict=True)
    )


def test_more_processes_than_groups_are_refused() -> None:
    ranks = Ranks()
    ranks.count = 17
    with pytest.raises(ValueError, match="17 processes for 16 groups"):
        made("wgan-gp", ranks)
