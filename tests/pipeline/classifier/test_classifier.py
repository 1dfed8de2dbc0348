from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

from gan.optimizers import Adam
from gan.seeds import derive, stream
from pipeline.classifier import training
from pipeline.classifier.batches import Joined, draw_batches
from pipeline.classifier.learners import Learner, Mapped, One, learner_of
from pipeline.classifier.mixing import PASTED, Mix, mix
from pipeline.classifier.network import SmallResNet
from pipeline.classifier.stacked import StackedResNet
from pipeline.classifier.training import ExtraPass, Recipe, Task, features, fit, fit_all, logits

Digits = tuple[np.ndarray, np.ndarray]


@pytest.mark.parametrize(("size", "channels"), [(8, 1), (11, 3), (28, 1), (64, 3), (256, 1)])
def test_any_size_gives_logits_and_features(size: int, channels: int) -> None:
    network = SmallResNet(5, channels, size, width=4)
    images = np.random.default_rng(0).integers(0, 256, (3, channels, size, size), dtype=np.uint8)
    embedded = features(network, images)
    assert logits(network, images).shape == (3, 5)
    assert embedded.shape == (3, 128)
    assert embedded.dtype == np.float32
    assert embedded.min() >= 0
    with torch.no_grad():
        entry = network.body[0](torch.zeros(1, channels, size, size))
    assert entry.shape[-1] == (size if size <= 16 else -(-size // 2))


def test_initial_weights_depend_on_the_seed_alone() -> None:
    torch.manual_seed(1)
    first = SmallResNet(3, 1, 8, seed=7).state_dict()
    torch.manual_seed(2)
    second, third = SmallResNet(3, 1, 8, seed=7).state_dict(), SmallResNet(3, 1, 8, seed=8).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["head.weight"], third["head.weight"])


def _fitted(digits: Digits, *, seed: int = 0, steps: int = 5, **options: object) -> SmallResNet:
    network = SmallResNet(10, 1, 8, width=4, seed=0)
    fit(network, digits[0][:200], digits[1][:200], seed=seed, steps=steps, batch_size=32, **options)  # type: ignore[arg-type]
    return network


@pytest.mark.parametrize("kind", ["none", "affine", "trivial", "rand"])
def test_same_seed_same_bits(digits: Digits, kind: training.Augment) -> None:
    recipe = Recipe("oversampling", kind)
    first, second, third = (logits(_fitted(digits, seed=s, recipe=recipe), digits[0][:50]) for s in (3, 3, 4))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, third)


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 9, 10])
def test_the_learning_rate_rises_to_its_peak_and_falls_near_to_nothing(
    steps: int, digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = []
    monkeypatch.setattr(Adam, "step", lambda self: rates.append(self.lr))
    fit(SmallResNet(10, 1, 8, width=4), digits[0][:8], digits[1][:8], seed=0, steps=steps, batch_size=2, lr=0.5)
    rates = rates[::2]  # kernels and others have the same
    assert all(0 < rate <= 0.5 for rate in rates)
    assert rates == sorted(rates[: rates.index(max(rates))]) + sorted(rates[rates.index(max(rates)) :], reverse=True)
    if steps >= 9:
        assert max(rates) > 0.45
        assert rates[-1] < 0.03


def test_it_learns_the_digits(digits: Digits) -> None:
    network = SmallResNet(10, 1, 8, width=8, seed=0)
    fit(network, digits[0][:1000], digits[1][:1000], seed=0, steps=80, batch_size=64, lr=2e-2)
    predicted = logits(network, digits[0][1000:]).argmax(axis=1)
    assert (predicted == digits[1][1000:]).mean() > 0.93


def test_chunks_do_not_matter_and_memory_maps_will_do(digits: Digits, tmp_path: object) -> None:
    network = _fitted(digits)
    np.save(f"{tmp_path}/images.npy", digits[0][:50])
    mapped = np.load(f"{tmp_path}/images.npy", mmap_mode="r")
    np.testing.assert_allclose(logits(network, digits[0][:50]), logits(network, mapped, batch_size=7), atol=1e-5)
    assert not network.training


@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=40),
    steps=st.integers(1, 6),
    batch_size=st.integers(1, 16),
)
@settings(max_examples=60, deadline=None)
def test_batches_use_everything_equally_often(labels: list[int], steps: int, batch_size: int) -> None:
    array = np.array(labels)
    plain = draw_batches(array, steps, batch_size, False, stream(0, "x"))
    uses = np.bincount(plain.ravel(), minlength=len(array))
    assert plain.shape == (steps, batch_size)
    assert uses.max() - uses.min() <= 1
    balanced = draw_batches(array, steps, batch_size, True, stream(0, "x"))
    by_class = np.bincount(array[balanced.ravel()], minlength=5)[np.unique(array)]
    assert by_class.max() - by_class.min() <= 1
    for label in np.unique(array):
        uses = np.bincount(balanced.ravel(), minlength=len(array))[array == label]
        assert uses.max() - uses.min() <= 1


def test_joined_rows_are_those_of_the_two_one_after_the_other() -> None:
    first, second = (
        np.random.default_rng(seed).integers(0, 256, (n, 1, 2, 2), np.uint8) for seed, n in ((0, 3), (1, 5))
    )
    rows = np.array([7, 0, 3, 2, 4, 4])
    np.testing.assert_array_equal(Joined(first, second)[rows], np.concatenate([first, second])[rows])


def test_class_weights_are_scikit_learns() -> None:
    labels = np.array([0, 0, 0, 0, 2, 2, 3])
    expected = compute_class_weight("balanced", classes=np.unique(labels), y=labels)
    found = training._image_weights(labels)
    np.testing.assert_allclose(found, expected[np.searchsorted(np.unique(labels), labels)], rtol=1e-6)
    answers, targets = torch.randn(7, 4, generator=stream(0, "x")), torch.from_numpy(labels)
    by_class = torch.zeros(4)
    by_class[np.unique(labels)] = torch.from_numpy(expected).float()
    reference = nn.functional.cross_entropy(answers, targets, weight=by_class)
    ours = training._weighted(answers[None], targets[None], torch.from_numpy(found)[None])
    torch.testing.assert_close(ours, reference[None])


def _norms(network: nn.Module) -> list[torch.Tensor]:
    return [m.running_mean for m in network.modules() if isinstance(m, nn.BatchNorm2d) and m.running_mean is not None]


def _extra(digits: Digits, weight: float) -> ExtraPass:
    inverted = 255 - digits[0][200:260]
    return ExtraPass(inverted, np.arange(60), digits[1][200:260], weight, 32)


def test_the_extra_pass_moves_weights_but_no_running_statistics(digits: Digits) -> None:
    """After one step the running statistics come from the initial weights and the main batch alone."""
    without, with_extra = _fitted(digits, steps=1), _fitted(digits, steps=1, extra=_extra(digits, 1.0))
    assert all(torch.equal(a, b) for a, b in zip(_norms(without), _norms(with_extra), strict=True))
    assert not torch.equal(without.head.weight, with_extra.head.weight)
    assert all(m.track_running_stats for m in with_extra.modules() if isinstance(m, nn.BatchNorm2d))


def test_the_extra_pass_normalises_its_images_among_themselves() -> None:
    norm = nn.BatchNorm2d(2)
    x = torch.randn(1, 8, 2, 4, 4) * 3 + 5
    learner = learner_of([norm])
    with learner.statistics_apart():
        torch.testing.assert_close(learner(x).mean(dim=(0, 1, 3, 4)), torch.zeros(2), atol=1e-5, rtol=0)
    assert torch.equal(_norms(norm)[0], torch.zeros(2))


@pytest.mark.parametrize("made", [StackedResNet, lambda networks, own: One(networks[0], own), Mapped])
def test_the_extra_pass_may_have_scales_and_shifts_of_its_own(made: Callable[..., Learner]) -> None:
    """The gradient of the shared ones is then that of the main pass alone; that of kernels is of both, as before."""
    images = torch.randn(3, 1, 8, 1, 8, 8, generator=stream(0, "x"))

    def learner(own: bool, second: bool) -> Learner:
        made_of = made([SmallResNet(3, 1, 8, width=4, seed=0)], own)
        for _ in range(2):  # what is left of one step must not come into the next
            made_of.zero_grad()
            made_of.backward(made_of(images[0]).square().sum())
            if second:
                with made_of.statistics_apart():
                    made_of.backward(0.5 * made_of(images[1]).square().sum())
        return made_of

    main, shared, apart = learner(False, False), learner(False, True), learner(True, True)
    for one, other in zip(apart.kernels[0], shared.kernels[0], strict=True):
        torch.testing.assert_close(one.grad, other.grad)
    count = len(main.others[0])
    for one, other in zip(apart.others[0][:count], main.others[0], strict=True):
        wanted = other.grad.clone()
        if one is apart.others[0][count - 1]:  # the one bias of the head, which both passes move
            size = apart.others[0][count].shape[-1] if count == 1 else 0
            wanted[..., size:] = shared.others[0][count - 1].grad[..., size:]
        torch.testing.assert_close(one.grad, wanted)
    assert len(apart.others[0]) > count
    for own, one, both in zip(apart.others[0][count:], main.others[0], shared.others[0], strict=False):
        size = own.shape[-1]
        torch.testing.assert_close(own.grad, (both.grad - one.grad)[..., :size], atol=1e-4, rtol=1e-3)
    with apart.statistics_apart():
        inside = apart(images[2])
    for own in apart.others[0][count:]:
        own.data += 1
    with apart.statistics_apart():
        assert not torch.allclose(apart(images[2]), inside)
    assert len(learner(False, False).others[0]) == count


def test_norms_of_their_own_go_when_the_training_ends_and_stacks_are_as_good_as_one(digits: Digits) -> None:
    extra = replace(_extra(digits, 0.5), own_norms=True)
    tasks = [Task(digits[0][:200], digits[1][:200], seed, extra) for seed in (0, 1)]
    networks = [SmallResNet(10, 1, 8, width=16, seed=seed) for seed in (0, 1)]
    fit_all(networks, tasks, steps=4, batch_size=32)
    for seed, network in enumerate(networks):
        alone = SmallResNet(10, 1, 8, width=16, seed=seed)
        names = list(alone.state_dict())
        fit_all([alone], tasks[seed : seed + 1], steps=4, batch_size=32)
        assert list(network.state_dict()) == names
        assert all(torch.equal(value, network.state_dict()[name]) for name, value in alone.state_dict().items())
    shared = SmallResNet(10, 1, 8, width=16, seed=0)
    fit_all([shared], [replace(tasks[0], extra=_extra(digits, 0.5))], steps=4, batch_size=32)
    assert not torch.equal(shared.head.weight, networks[0].head.weight)


@pytest.mark.parametrize(
    "recipe", [Recipe(mix="cmo"), Recipe("oversampling", "rand", "cutmix", "dihedral"), Recipe(flips="horizontal")]
)
def test_flips_and_boxes_are_each_networks_own_whatever_stands_beside_it(digits: Digits, recipe: Recipe) -> None:
    tasks = [Task(digits[0][:200], digits[1][:200], seed) for seed in (0, 1, 2)]
    networks = [SmallResNet(10, 1, 8, width=16, seed=seed) for seed in (0, 1, 2)]
    fit_all(networks, tasks, steps=3, batch_size=16, recipe=recipe)
    alone = SmallResNet(10, 1, 8, width=16, seed=1)
    fit_all([alone], tasks[1:2], steps=3, batch_size=16, recipe=recipe)
    assert all(torch.equal(value, networks[1].state_dict()[name]) for name, value in alone.state_dict().items())


def test_a_copied_batch_at_weight_w_scales_the_gradient_by_one_plus_w(
    digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One class, one image: both passes see the same batch, so that the loss is (1 + w) times the plain one."""
    images, labels = digits[0][:1], digits[1][:1]
    gradients = []

    def record(self: Adam) -> None:
        gradients.append(torch.cat([p.grad.flatten() for p in self.parameters if p.grad is not None]))

    monkeypatch.setattr(Adam, "step", record)
    for extra in (None, ExtraPass(images, np.zeros(1, np.int64), labels, 0.5, 4)):
        network = SmallResNet(10, 1, 8, width=4, seed=0)
        fit(network, images, labels, seed=0, steps=1, batch_size=4, extra=extra)
    assert len(gradients) == 4
    for plain, doubled in zip(gradients[:2], gradients[2:], strict=True):  # of kernels, and of all others
        torch.testing.assert_close(doubled, 1.5 * plain, atol=1e-6, rtol=1e-4)


def test_the_second_pass_can_end_early_or_come_alone_first(digits: Digits) -> None:
    extra = _extra(digits, 1.0)
    weights = {
        until: _fitted(digits, steps=4, extra=replace(extra, until=until)).head.weight for until in (0.0, 0.5, 1.0)
    }
    assert torch.equal(weights[0.0], _fitted(digits, steps=4).head.weight)
    assert not torch.equal(weights[0.5], weights[1.0])
    alone = _fitted(digits, steps=4, extra=replace(extra, until=1.0, alone=True))
    fresh = SmallResNet(10, 1, 8, width=4, seed=0)
    assert all(torch.equal(a, b) for a, b in zip(_norms(alone), _norms(fresh), strict=True))  # no main pass at all
    assert not torch.equal(alone.head.weight, fresh.head.weight)
    finished = _fitted(digits, steps=4, extra=replace(extra, until=0.5, alone=True))
    assert not torch.equal(_norms(finished)[0], _norms(fresh)[0])


@pytest.mark.parametrize("kind", ["mixup", "cutmix", "cmo"])
def test_a_mixed_batch_holds_as_much_of_each_image_as_it_says(kind: Mix) -> None:
    images = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 1, 8, 8)  # image i is i everywhere
    shares = []
    for draw in range(20):
        mixed, share = mix(images, images.roll(1, 0), kind, np.random.default_rng(draw))
        torch.testing.assert_close(
            mixed.mean(dim=(1, 2, 3)), share * torch.arange(4.0) + (1 - share) * torch.tensor([3.0, 0, 1, 2])
        )
        assert 0 <= share <= 1
        shares.append(share)
    assert len(set(shares)) > 10


def test_the_loss_of_a_mixed_batch_is_that_of_its_parts(digits: Digits) -> None:
    network, labels = SmallResNet(10, 1, 8, width=4, seed=0).train(), digits[1][:8]
    source = training._Source(digits[0].__getitem__, labels, 3)
    (loss,) = training._Pass(learner_of([network]), [source], 1, 8, Recipe(mix="cutmix"), "x").loss(0)
    rows = draw_batches(labels, 1, 8, False, stream(3, "x.batch"))[0]
    plain = training._floats(digits[0][rows], torch.device("cpu"))
    x, share = mix(plain, plain.roll(1, 0), "cutmix", np.random.default_rng(derive(3, "x.mix")))
    own = torch.from_numpy(labels[rows])
    entropy = nn.functional.cross_entropy
    expected = share * entropy(network(x), own) + (1 - share) * entropy(network(x), own.roll(1))
    torch.testing.assert_close(loss, expected)


def test_the_box_that_cmo_pastes_comes_from_images_of_all_classes_equally_often(digits: Digits) -> None:
    """Image i is i everywhere, and its class is 0 for all but the last two; so the pixels tell who was pasted."""
    labels = np.r_[np.zeros(38, np.int64), 1, 2]
    images = np.arange(40, dtype=np.uint8).reshape(-1, 1, 1, 1) + np.zeros((1, 1, 8, 8), np.uint8)
    seen: list[torch.Tensor] = []

    class Watching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bias = nn.Parameter(torch.zeros(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(((x + 1) * 127.5).round().long())
            return self.bias.expand(len(x), 3)

    source = training._Source(images.__getitem__, labels, 3)
    part = training._Pass(One(Watching()), [source], 50, 12, Recipe(mix="cmo"), "x")
    for step in range(50):
        part.loss(step)
    pasted = torch.zeros(40)
    for step, x in enumerate(seen):
        own = torch.from_numpy(part._batches[0][step]).view(-1, 1, 1, 1)
        others = torch.from_numpy(part._pasted[0][step]).view(-1, 1, 1, 1)
        assert ((x == own) | (x == others)).all()
        pasted += torch.bincount(others.flatten(), minlength=40)
    assert torch.bincount(torch.from_numpy(labels), weights=pasted).tolist() == [200, 200, 200]
    backgrounds = np.bincount(labels[part._batches[0].ravel()])
    assert backgrounds[0] / backgrounds.sum() == pytest.approx(0.95, abs=0.01)


def test_the_mean_area_of_the_box_is_what_it_is_said_to_be() -> None:
    rng, images = np.random.default_rng(0), torch.zeros(1, 1, 200, 200)
    shares = [mix(images, images, "cutmix", rng)[1] for _ in range(4000)]
    assert 1 - np.mean(shares) == pytest.approx(PASTED, abs=0.015)


def test_answers_come_in_smaller_chunks_where_the_device_has_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    network = SmallResNet(3, 1, 8, seed=0).eval()
    images = np.random.default_rng(0).integers(0, 256, (40, 1, 8, 8), dtype=np.uint8)
    expected, forward, sizes = logits(network, images), network.forward, list[int]()

    def small(x: torch.Tensor) -> torch.Tensor:
        sizes.append(len(x))
        if len(x) > 16:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(x)

    monkeypatch.setattr(network, "forward", small)
    np.testing.assert_allclose(logits(network, images, batch_size=40), expected, rtol=1e-4, atol=1e-5)
    assert sizes == [40, 20, 10, 10, 10, 10]
