"""Image i is a function of (generator, seed, label, i) alone."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gan import parts
from gan.ensemble import Ensemble
from gan.networks import Shape, build
from gan.pixels import to_pixels
from gan.sampler import BLOCK, Sampler
from gan.seeds import derive, stream

torch.manual_seed(0)
GENERATOR = build("resnet", "generator", Shape(8, 1, classes=3, latent_dim=4, width=8))
WHOLE = Sampler(GENERATOR, seed=5).draw(1, 0, 3 * BLOCK)


@settings(max_examples=25, deadline=None)
@given(start=st.integers(0, 2 * BLOCK), count=st.integers(0, BLOCK))
def test_any_request_is_a_slice_of_the_one_sequence(start: int, count: int) -> None:
    assert torch.equal(Sampler(GENERATOR, seed=5).draw(1, start, count), WHOLE[start : start + count])


def test_seed_and_label_name_other_sequences() -> None:
    assert not torch.equal(Sampler(GENERATOR, seed=6).draw(1, 0, 8), WHOLE[:8])
    assert not torch.equal(Sampler(GENERATOR, seed=5).draw(2, 0, 8), WHOLE[:8])


def test_large_images_are_drawn_in_smaller_blocks_and_stay_one_sequence(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parts.LARGE == 256
    monkeypatch.setattr(parts, "LARGE", 4)
    sampler = Sampler(GENERATOR, seed=5)
    assert sampler.block == BLOCK // 4
    assert torch.equal(sampler.draw(1, 6, 20), sampler.draw(1, 0, 26)[6:])


def test_members_of_an_ensemble_take_turns() -> None:
    members = [build("resnet", "generator", GENERATOR.shape) for _ in range(3)]
    sampler = Sampler(Ensemble(members), seed=5)
    whole = sampler.draw(1, 0, 6 * BLOCK)
    assert torch.equal(sampler.draw(1, 50, 100), whole[50:150])
    z = torch.randn(3 * BLOCK, 4, generator=stream(5, "latent", 1, 0))
    labels = torch.ones(BLOCK, dtype=torch.int64)
    with torch.inference_mode():
        for turn, member in enumerate(members):
            assert torch.equal(whole[: 3 * BLOCK][turn::3], to_pixels(member(z[turn::3], labels)))


def test_images_of_a_sequence_differ() -> None:
    assert len({tuple(image.flatten().tolist()) for image in WHOLE}) > 0.9 * len(WHOLE)


def test_uint8_on_the_cpu() -> None:
    assert WHOLE.dtype == torch.uint8
    assert WHOLE.device.type == "cpu"


def test_a_negative_request_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        Sampler(GENERATOR, seed=5).draw(0, -1, 4)


def test_streams_are_told_apart_by_every_part_of_their_name() -> None:
    seeds = [derive(0), derive(1), derive(0, "a"), derive(0, "b"), derive(0, "a", 1), derive(0, "a", 2)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_the_number_of_threads_changes_no_bit_and_stays_as_it_was() -> None:
    before = torch.get_num_threads()
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            assert torch.equal(Sampler(GENERATOR, seed=5).draw(1, 0, 3 * BLOCK), WHOLE)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
