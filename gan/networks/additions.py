"""What options add to a network of any family, once it is built."""

from torch import Tensor, nn

from gan.networks.conditioning import LabelEmbedding
from gan.networks.minibatch import MinibatchDiscrimination
from gan.networks.shape import Network, Shape


class ClassPrior(nn.Module):
    """A mean and a scale of z for each class, learned from the standard normal on (after Gurumurthy et al. 2017)."""

    def __init__(self, classes: int, latent_dim: int) -> None:
        super().__init__()
        self.mean, self.log_scale = (LabelEmbedding(classes, latent_dim) for _ in range(2))
        for table in (self.mean, self.log_scale):
            nn.init.zeros_(table.weight)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Standard normal z (N, latent_dim), labels int64 (N,), to latents of the classes' own."""
        return self.mean(labels) + self.log_scale(labels).exp() * z


def add_to(network: Network, part: str, shape: Shape) -> None:
    """Adds what ``shape`` asks for: a class prior in front of a generator, mini-batch discrimination to a critic.

    Raises:
        ValueError: see :func:`head_of`.
    """
    if part == "generator" and shape.class_prior:
        network.prior = ClassPrior(shape.classes, shape.latent_dim)
        network.register_forward_pre_hook(_with_prior)
    if part == "critic" and shape.minibatch_discrimination:
        head, embed = head_of(network)
        head.compared = MinibatchDiscrimination(embed.embedding_dim, shape.minibatch_discrimination)
        head.register_forward_hook(_with_comparisons)


def latents_of(generator: Network, z: Tensor, labels: Tensor) -> Tensor:
    """What a generator's forward pass makes of z (N, latent_dim) first, for whoever calls its parts."""
    return generator.prior(z, labels) if hasattr(generator, "prior") else z  # type: ignore[operator]


def head_of(critic: nn.Module) -> tuple[nn.Module, LabelEmbedding]:
    """What makes a critic's scores of features and labels by projection, and its embedding, as wide as the features.

    Raises:
        ValueError: the critic has no such ``head``.
    """
    head = getattr(critic, "head", None)
    embed = getattr(head, "embed", None)
    if not isinstance(head, nn.Module) or not isinstance(embed, LabelEmbedding):
        raise ValueError("the critic of this family of networks shows no features: its score is made by no projection")
    return head, embed


def scores_and_features(critic: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Scores (N,) of images (N, C, H, W), and the features (N, F) that they are made of."""
    seen: list[Tensor] = []
    with head_of(critic)[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0])):
        scores = critic(images, labels)
    return scores, seen[0]


def _with_prior(network: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    z, labels, *rest = inputs
    shifted: Tensor = network.prior(z, labels)  # type: ignore[operator]
    return (shifted, labels, *rest)


def _with_comparisons(head: nn.Module, inputs: tuple[Tensor, ...], scores: Tensor) -> Tensor:
    compared: Tensor = head.compared(inputs[0])  # type: ignore[operator]
    return scores + compared
