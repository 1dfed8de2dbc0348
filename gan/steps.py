"""One iteration of the conditional GAN: critic steps, a step of the generator, and the average of its weights."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from gan import lazy
from gan.augment import Changes, augment
from gan.compiled import Gradients, compiled_gradients
from gan.config import Config
from gan.draws import CriticDraws, GeneratorDraws, brought
from gan.errors import first_line
from gan.graphs import CaptureError, FixedIterations, Inputs, recorder_for, unrecordable
from gan.layout import unsafe_channels_last
from gan.lazy import lazy_terms
from gan.networks import Network
from gan.networks.family import GeneratorStep, LazyTerm
from gan.networks.low import lowered, with_low_images
from gan.objective import Objective, Pair
from gan.optimizers import Adam
from gan.parts import Made, Part, Step, at_once, groups, in_chunks, own_parts
from gan.ranks import Ranks
from gan.regularisers import History
from gan.seeds import stream

UNSAFE = (
    "a convolution of one pixel with a stride and fewer than 16 channels, with which oneDNN writes past its memory: "
    "leave out pixels first (x[:, :, ::2, ::2]), or take more channels"
)


class ImageSource(Protocol):
    """Where real images come from; ``gan.real_images.RealImages`` is the usual one, and may also ``fetch`` them."""

    def sample_labels(self, count: int, rng: torch.Generator) -> Tensor:
        """Labels in the sampling proportions, int64 (count,), on the CPU."""
        ...

    def draw(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Names a real image of each label, (N, ...) on the CPU."""
        ...

    def images(self, drawn: Tensor) -> Tensor:
        """What was drawn, and fetched if need be, by now on the device: float32 (N, C, H, W) in [-1, 1]."""
        ...


class Shown(NamedTuple):
    """What a step's critic gets to see.

    Attributes:
        images: of the generator, before augmentation, (N, C, H, W).
        fake, real: those and real ones as the critic gets them; None where real ones are not asked for.
        low_fake, low_real: the same of the smaller images that go with ``unlabelled_weight``.
    """

    images: Tensor
    fake: Tensor
    real: Tensor | None
    low_fake: Tensor | None
    low_real: Tensor | None


class Steps:
    """Networks, their optimisers, and how an iteration moves them.

    Args:
        config: the hyper-parameters.
        generator: (N, latent_dim), (N,) to images (N, C, H, W).
        critic: images and labels to scores (N,); with packing m, m images of a label stacked to (N, m C, H, W).
        source: of real images.
        seed: of the random numbers of a family's own terms.
        ranks: the processes that share each batch, this one among them.

    Attributes:
        done: iterations.
        notes: sentences on what is done in another way than ``config`` says, as they come up.
        parts: how many a batch is taken in; more than one where the device has no room.

    Raises:
        ValueError: a network that corrupts memory, see :func:`gan.layout.unsafe_channels_last`; more processes than
            groups of images in a batch that are judged together.
    """

    def __init__(
        self,
        config: Config,
        generator: Network,
        critic: Network,
        source: ImageSource,
        seed: int,
        ranks: Ranks | None = None,
    ) -> None:
        self.config, self.source, self.seed, self.ranks = config, source, seed, ranks or Ranks()
        if self.ranks.count > groups(config):
            raise ValueError(f"{self.ranks.count} processes for {groups(config)} groups of images a batch")
        if unsafe_channels_last(generator) or unsafe_channels_last(critic):
            raise ValueError(UNSAFE)
        self.generator, self.critic = (n.to(memory_format=torch.channels_last) for n in (generator, critic))
        self.device = next(generator.parameters()).device
        self.ema = copy.deepcopy(generator).requires_grad_(False).eval()
        betas = (config.beta1, config.beta2)
        self.generator_optimizer = Adam(generator.parameters(), config.generator_lr, betas)
        self.critic_optimizer = Adam(critic.parameters(), config.critic_lr, betas)
        self.objective = Objective(config, getattr(source, "counts", None), self.device)
        self.histories: dict[str, History] = {}
        if config.historical_averaging:
            pair = {"generator": generator, "critic": critic}
            self.histories = {name: History(list(network.parameters())) for name, network in pair.items()}
        self.notes: list[str] = []
        self._gradients: Gradients = self._eager_gradients
        self._fixed: FixedIterations | None = None
        if config.compiled:
            self._gradients = compiled_gradients(self.objective, critic, self._eager_gradients, self.notes.append)
            self._fix()
        self.parts = 1
        self.done = 0
        self._means: dict[int, Tensor] = {}  # of what lazy terms measured in this step

    def _run(self, inputs: Inputs) -> Tensor:
        if self._fixed is not None and self.parts == 1:
            try:
                return self._fixed(inputs)
            except CaptureError as error:
                self._fixed = None
                self.notes.append(f"an iteration cannot be replayed as one CUDA graph ({error}): done step by step")
        if self.config.compiled:  # as a number, each value would be compiled anew
            inputs = inputs._replace(rates=inputs.rates.tensors(self.device))
        return self._update(brought(inputs, self.device))

    def _fix(self) -> None:
        """Has iterations find their inputs at fixed addresses; on a CUDA device they are replayed as one graph."""
        if not self.ranks.alone:
            self.notes.append("iterations are not replayed as CUDA graphs, as several processes share a batch")
        elif reason := unrecordable(self.objective.family):
            self.notes.append(f"iterations are not replayed as CUDA graphs, as {reason}: done step by step")
        else:
            self._fixed = FixedIterations(self._update, self._held, self.device, recorder_for(self.device))

    def _held(self) -> Iterator[Tensor]:
        """All that an iteration reads and changes but for its inputs."""
        for network in (self.generator, self.critic, self.ema):
            yield from chain(network.parameters(), network.buffers())
        for optimizer in (self.generator_optimizer, self.critic_optimizer):
            yield from optimizer.moments().values()
        yield from (tensor for _, tensor in self.memory())
        yield self.objective.class_weights

    def memory(self) -> Iterator[tuple[str, Tensor]]:
        """What the regularisers remember, by name; see ``gan.regularisers``."""
        if self.objective.averages is not None:
            yield "scores", self.objective.averages.sums
        for name, history in self.histories.items():
            yield from ((f"{name}/{key}", tensor) for key, tensor in history.tensors())

    def _update(self, inputs: Inputs) -> Tensor:
        """An iteration whose inputs are on the device: a function of them and of :meth:`_held` alone."""
        given, rates = inputs.draws, inputs.rates
        self.critic_optimizer.lr, self.generator_optimizer.lr = rates.critic, rates.generator
        self.critic_optimizer.betas = self.generator_optimizer.betas = (self.config.beta1, rates.beta2)
        self.objective.penalty_weight = rates.penalty
        critic_figures = [self._critic_step(one) for one in given.critic]
        critic_loss, gap, penalty, critic_gradient = torch.stack(critic_figures).mean(dim=0)
        generator_loss, generator_gradient = self._generator_step(given.generator)
        if not self.ranks.alone:
            self.ranks.average([one for one in self._buffers() if one.is_floating_point()])
        self._average(rates.average)
        return torch.stack([critic_loss, generator_loss, gap, penalty, critic_gradient, generator_gradient])

    def _buffers(self) -> Iterator[Tensor]:
        """What the networks learn without gradients, such as running means: of a part of the batch, at first."""
        return chain(self.generator.buffers(), self.critic.buffers())

    def _recording(self) -> bool:
        return self.device.type == "cuda" and torch.cuda.is_current_stream_capturing()

    def _critic_step(self, given: CriticDraws) -> Tensor:
        figures = self._leave_gradients(self.critic_optimizer, self._critic_gradients, given)
        figures, means = figures[:3], figures[3:]
        figures = self._step("critic", self.critic_optimizer, figures)
        if self.objective.averages is not None:
            self.objective.averages.update(*means)
        return torch.cat([figures, _gradient_norm(self.critic)])

    def _step(self, name: str, optimizer: Adam, figures: Tensor) -> Tensor:
        """Moves a network by the gradients that are there; its figures, the loss first, with what history adds."""
        history = self.histories.get(name)
        if history is not None:
            figures = torch.cat([figures[:1] + history.pull(self.config.historical_averaging), figures[1:]])
        optimizer.step()
        if name == "critic" and self.config.weight_clip:
            _clip(self.critic, self.config.weight_clip)
        if history is not None:
            history.update()
        return figures

    def _critic_gradients(self, part: Part) -> Tensor:
        given: CriticDraws = part.draws
        with torch.no_grad():
            shown = self._shown(given)
        assert shown.real is not None
        pair, low = (shown.real, shown.fake), None
        if shown.low_real is not None and shown.low_fake is not None:
            low = shown.low_real, shown.low_fake
        labels = given.labels[:: self.config.packing]
        if self.parts == 1 and part.penalised == 1:
            return self._weighted(self._gradients(*pair, labels, given.alpha, low), part.weight)
        total, figures = self.objective.critic(self.critic, *pair, labels, given.alpha, part.penalised, low)
        (part.weight * total).backward()
        return part.weight * figures

    def _eager_gradients(
        self, real: Tensor, fake: Tensor, labels: Tensor, alpha: Tensor | None, low: Pair | None
    ) -> Tensor:
        total, figures = self.objective.critic(self.critic, real, fake, labels, alpha, low=low)
        total.backward()
        return figures

    def _weighted(self, figures: Tensor, weight: float) -> Tensor:
        """Gradients and figures of the critic's step times ``weight``."""
        if weight != 1:
            torch._foreach_mul_([one.grad for one in self.critic.parameters() if one.grad is not None], weight)
        return figures if weight == 1 else weight * figures

    def _generator_step(self, given: GeneratorDraws) -> Tensor:
        with _frozen(self.critic):
            loss = self._leave_gradients(self.generator_optimizer, self._generator_gradients, given)
        for number, term in lazy_terms(self.objective.family, given.terms).items():
            term.update(self.generator, self._means[number])
        loss = self._step("generator", self.generator_optimizer, loss)
        return torch.cat([loss, _gradient_norm(self.generator)])

    def _generator_gradients(self, part: Part) -> Tensor:
        given: GeneratorDraws = part.draws
        labels = given.labels
        shown = self._shown(given)
        low = None if shown.low_fake is None else (shown.low_real, shown.low_fake)
        judged = labels[:: self.config.packing]
        loss = self.objective.generator(self.critic, shown.fake, shown.real, judged, part.difference, low)
        if (of_weights := self.objective.generator_weights(self.generator)) is not None:
            loss = loss + of_weights
        if given.terms:
            loss = self._with_terms(loss, part, shown.images)
        if part.weight != 1:
            loss = part.weight * loss
        loss.backward()
        return loss.detach().view(1)

    def _with_terms(self, loss: Tensor, part: Part, images: Tensor) -> Tensor:
        """The loss of a part of a generator's step with what the family's terms add to it."""
        given: GeneratorDraws = part.draws
        rng = stream(self.seed, "train.family", self.done)
        made = GeneratorStep(given.latents, given.labels, images, self.done, rng)
        for number in given.terms:
            term = self.objective.family.generator_terms[number]
            if isinstance(term, LazyTerm):
                batch, known = self.config.batch_size, part.means.get(number)
                added, self._means[number] = lazy.value(term, self.generator, part, batch, known)
            else:
                added = term(self.generator, made)
            loss = loss + added
        return loss

    def _shown(self, given: Step) -> Shown:
        low_fake = low_real = real = None
        with self.objective.autocast(given.latents):
            if self.config.unlabelled_weight:
                images, low_fake = with_low_images(self.generator, given.latents, given.labels)
                low_fake = self.seen(low_fake, given.of_fake)
            else:
                images = self.generator(given.latents, given.labels)
        if given.real is not None and given.of_real is not None:
            whole = self.source.images(given.real)
            real = self.seen(whole, given.of_real)
            if self.config.unlabelled_weight:
                low_real = self.seen(lowered(whole, self.generator.shape), given.of_real)
        return Shown(images, self.seen(images, given.of_fake), real, low_fake, low_real)

    @torch.no_grad()
    def _difference(self, parts: list[Part]) -> Tensor:
        """How the critic's features differ between fake and real images, over these parts of a generator's step."""
        differences = []
        for part in parts:
            shown = self._shown(part.draws)
            assert shown.real is not None
            labels = part.draws.labels[:: self.config.packing]
            apart = self.objective.features_apart(self.critic, shown.fake, shown.real, labels)
            differences.append(part.weight * apart)
        return _sum(differences)

    def _leave_gradients(self, optimizer: Adam, gradients: Callable[[Part], Tensor], given: Step) -> Tensor:
        """Leaves the parameters a step's gradients and returns its figures; in more parts where there is no room.

        Until then nothing has been changed by the step, so that it can be begun anew.

        Raises:
            torch.OutOfMemoryError: there is no room for the smallest part.
        """
        while True:
            optimizer.zero_grad()
            parts = self._own_parts(given)
            if isinstance(given, GeneratorDraws) and parts[0].weight != 1:
                known = self._with_room(self._of_whole, parts)
                if known is None:
                    continue
                self.ranks.add(known[0].joint)
                parts = known
            figures = self._with_room(lambda some: _sum([gradients(part) for part in some]), parts)
            if figures is not None:
                self.ranks.add([figures, *(one.grad for one in optimizer.parameters if one.grad is not None)])
                return figures

    def _of_whole(self, parts: list[Part]) -> list[Part]:
        """These parts of a generator's step, each with what it has to know of the whole batch."""
        terms = lazy_terms(self.objective.family, parts[0].draws.terms)
        means = lazy.means(terms, self.generator, parts, self.config.batch_size)
        difference = self._difference(parts) if self.config.feature_matching else None
        return [part._replace(difference=difference, means=means) for part in parts]

    def _with_room(self, work: Callable[[list[Part]], Made], parts: list[Part]) -> Made | None:
        """What the work on these parts gives; None if there is no room for it: from then on there are more parts.

        Raises:
            torch.OutOfMemoryError: there cannot be more.
        """
        found, reason = None, "as another process says"
        try:
            found = work(parts)
        except torch.OutOfMemoryError as error:
            if self._recording() or self.in_smallest_parts:
                raise
            reason = first_line(error)
        if not self._short_of_room(found is None):
            return found
        self._take_more_parts(reason)  # here, as the error holds what filled the memory
        return None

    def _short_of_room(self, here: bool) -> bool:
        """Whether one process is; it is asked on GPUs alone, as a processor's memory runs out in other ways."""
        return here if self.device.type == "cpu" else self.ranks.any(here)

    def _own_parts(self, given: Step) -> list[Part]:
        """This process's parts of a step's draws; those of all of them together are the whole."""
        return own_parts(given, self.config, self.parts, self.ranks.rank, self.ranks.count)

    @property
    def in_smallest_parts(self) -> bool:
        """Whether a batch cannot be taken in more parts than it is."""
        return self.parts == self._most_parts

    @property
    def _most_parts(self) -> int:
        return groups(self.config) // self.ranks.count

    def _take_more_parts(self, reason: str) -> None:
        self.parts = min(2 * self.parts, self._most_parts)
        self._fixed = None
        self.notes.append(
            f"the device has no room for a batch of {self.config.batch_size} at once ({reason}): from iteration "
            f"{self.done + 1:,} on it is taken in {self.parts} parts, with the same gradients but for rounding"
        )

    @torch.no_grad()
    def _average(self, weight: float | Tensor) -> None:
        """Moves the averaged generator by ``weight`` towards the latest one, see :class:`gan.rates.Rates`.

        Buffers of floats are averaged likewise; others, such as counts, are copied.
        """
        averages: list[Tensor] = list(self.ema.parameters())
        latest: list[Tensor] = list(self.generator.parameters())
        if isinstance(weight, Tensor):
            for one, other in zip(averages, latest, strict=True):
                one.lerp_(other, weight.to(one.dtype))
        else:
            torch._foreach_lerp_(averages, latest, weight)
        for average, other in zip(self.ema.buffers(), self.generator.buffers(), strict=True):
            if average.is_floating_point():
                average.lerp_(other, weight.to(average.dtype) if isinstance(weight, Tensor) else weight)
            else:
                average.copy_(other)

    # Parts ---------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def fakes(self, latents: Tensor, labels: Tensor) -> Tensor:
        """What the generator, not its average, draws by now; leaves its state alone. (N, C, H, W) in [-1, 1]."""
        self.generator.eval()
        with self.objective.autocast(latents):
            rows = at_once(len(latents), self.generator.shape.image_size)
            images = in_chunks(self.generator, latents, labels, at_once=rows)
        self.generator.train()
        return torch.cat(images).float()

    def seen(self, images: Tensor, changes: Changes) -> Tensor:
        """Images as the critic gets them: augmented, and ``packing`` of them stacked along the channels."""
        images = augment(images.float(), changes)
        packed = images.reshape(-1, images.shape[1] * self.config.packing, *images.shape[2:])
        return packed.contiguous(memory_format=torch.channels_last)


@contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    """Within, no gradients are left at the network's parameters."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


def _sum(figures: list[Tensor]) -> Tensor:
    return figures[0] if len(figures) == 1 else torch.stack(figures).sum(dim=0)


def _clip(network: nn.Module, bound: float) -> None:
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.clamp_(-bound, bound)


def _gradient_norm(network: nn.Module) -> Tensor:
    norms = torch._foreach_norm([p.grad for p in network.parameters() if p.grad is not None])
    return torch.stack(norms).norm().float().view(1)
