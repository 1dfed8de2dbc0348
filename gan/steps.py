"""One iteration of the conditional GAN: critic steps, a step of the generator, and the average of its weights."""

import copy
from collections.abc import Callable, Iterator
from itertools import chain

import torch
from torch import Tensor

from gan import lazy
from gan.augment import Changes
from gan.compiled import Gradients, compiled_gradients
from gan.config import Config
from gan.draws import CriticDraws, GeneratorDraws, brought
from gan.graphs import CaptureError, FixedIterations, Inputs, recorder_for, unrecordable
from gan.layout import unsafe_channels_last
from gan.lazy import lazy_terms
from gan.networks import Network
from gan.networks.family import GeneratorStep, LazyTerm
from gan.objective import Objective, Pair
from gan.optimizers import Adam
from gan.parts import Part, Step, at_once, groups, in_chunks
from gan.ranks import Ranks
from gan.regularisers import History
from gan.room import Room
from gan.seeds import stream
from gan.shown import ImageSource, seen, shown
from gan.weights import clip, frozen, gradient_norm, move_average

UNSAFE = (
    "a convolution of one pixel with a stride and fewer than 16 channels, with which oneDNN writes past its memory: "
    "leave out pixels first (x[:, :, ::2, ::2]), or take more channels"
)


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
        room: decides in how many parts a batch is taken.
        notes: sentences on what is done in another way than ``config`` says, as they come up.

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
        self.room = Room(config, self.ranks, self.device, self._say_why_in_parts)
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
        move_average(self.ema, self.generator, rates.average)
        return torch.stack([critic_loss, generator_loss, gap, penalty, critic_gradient, generator_gradient])

    def _buffers(self) -> Iterator[Tensor]:
        """What the networks learn without gradients, such as running means: of a part of the batch, at first."""
        return chain(self.generator.buffers(), self.critic.buffers())

    def _critic_step(self, given: CriticDraws) -> Tensor:
        figures = self._leave_gradients(self.critic_optimizer, self._critic_gradients, given)
        figures, means = figures[:3], figures[3:]
        figures = self._step("critic", self.critic_optimizer, figures)
        if self.objective.averages is not None:
            self.objective.averages.update(*means)
        return torch.cat([figures, gradient_norm(self.critic)])

    def _step(self, name: str, optimizer: Adam, figures: Tensor) -> Tensor:
        """Moves a network by the gradients that are there; its figures, the loss first, with what history adds."""
        history = self.histories.get(name)
        if history is not None:
            figures = torch.cat([figures[:1] + history.pull(self.config.historical_averaging), figures[1:]])
        optimizer.step()
        if name == "critic" and self.config.weight_clip:
            clip(self.critic, self.config.weight_clip)
        if history is not None:
            history.update()
        return figures

    def _critic_gradients(self, part: Part) -> Tensor:
        given: CriticDraws = part.draws
        with torch.no_grad():
            made = shown(self.objective, self.generator, self.source, given)
        assert made.real is not None
        pair, low = (made.real, made.fake), None
        if made.low_real is not None and made.low_fake is not None:
            low = made.low_real, made.low_fake
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
        with frozen(self.critic):
            loss = self._leave_gradients(self.generator_optimizer, self._generator_gradients, given)
        for number, term in lazy_terms(self.objective.family, given.terms).items():
            term.update(self.generator, self._means[number])
        loss = self._step("generator", self.generator_optimizer, loss)
        return torch.cat([loss, gradient_norm(self.generator)])

    def _generator_gradients(self, part: Part) -> Tensor:
        given: GeneratorDraws = part.draws
        labels = given.labels
        made = shown(self.objective, self.generator, self.source, given)
        low = None if made.low_fake is None else (made.low_real, made.low_fake)
        judged = labels[:: self.config.packing]
        loss = self.objective.generator(self.critic, made.fake, made.real, judged, part.difference, low)
        if (of_weights := self.objective.generator_weights(self.generator)) is not None:
            loss = loss + of_weights
        if given.terms:
            loss = self._with_terms(loss, part, made.images)
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

    @torch.no_grad()
    def _difference(self, parts: list[Part]) -> Tensor:
        """How the critic's features differ between fake and real images, over these parts of a generator's step."""
        differences = []
        for part in parts:
            made = shown(self.objective, self.generator, self.source, part.draws)
            assert made.real is not None
            labels = part.draws.labels[:: self.config.packing]
            apart = self.objective.features_apart(self.critic, made.fake, made.real, labels)
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
            parts = self.room.own(given)
            if isinstance(given, GeneratorDraws) and parts[0].weight != 1:
                known = self.room.done(self._of_whole, parts)
                if known is None:
                    continue
                self.ranks.add(known[0].joint)
                parts = known
            figures = self.room.done(lambda some: _sum([gradients(part) for part in some]), parts)
            if figures is not None:
                self.ranks.add([figures, *(one.grad for one in optimizer.parameters if one.grad is not None)])
                return figures

    def _of_whole(self, parts: list[Part]) -> list[Part]:
        """These parts of a generator's step, each with what it has to know of the whole batch."""
        terms = lazy_terms(self.objective.family, parts[0].draws.terms)
        means = lazy.means(terms, self.generator, parts, self.config.batch_size)
        difference = self._difference(parts) if self.config.feature_matching else None
        return [part._replace(difference=difference, means=means) for part in parts]

    @property
    def parts(self) -> int:
        """How many a batch is taken in; more than one where the device has no room."""
        return self.room.parts

    @parts.setter
    def parts(self, count: int) -> None:
        self.room.parts = count

    @property
    def in_smallest_parts(self) -> bool:
        """Whether a batch cannot be taken in more parts than it is."""
        return self.parts == self.room.most

    def _say_why_in_parts(self, reason: str) -> None:
        self._fixed = None
        self.notes.append(
            f"the device has no room for a batch of {self.config.batch_size} at once ({reason}): from iteration "
            f"{self.done + 1:,} on it is taken in {self.parts} parts, with the same gradients but for rounding"
        )

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
        """Images as the critic gets them, see :func:`gan.shown.seen`."""
        return seen(self.config, images, changes)


def _sum(figures: list[Tensor]) -> Tensor:
    return figures[0] if len(figures) == 1 else torch.stack(figures).sum(dim=0)
