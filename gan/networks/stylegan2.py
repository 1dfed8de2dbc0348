"""StyleGAN2 (Karras et al. 2020, arXiv 1912.04958) for any size, with labels.

Kept from the paper and its code: the mapping network, modulated convolutions that are demodulated, noise inputs, the
skip generator and the residual critic with blurred resampling (configuration F), equalised learning rates, style mixing
(Karras et al. 2019), path length regularisation. Layers, but for what the labels add, have the paper's sizes where
widths are the paper's. What differs:

- The label enters the mapping beside z, and the critic by projection (Miyato & Koyama 2018).
- What an image takes by chance, noise and the second style of a mixture, comes from its own z (``gan.networks.noise``).
- Images end in tanh, as all of this package do.
- Sizes that are no powers of two: the generator cuts, the critic's levels round down and yet look at every pixel.

With ``shape.adain`` the generator's layers are those of the first StyleGAN (Karras et al. 2019, arXiv 1812.04948),
whose styles scale and shift what is normalised; the rest stays.
"""

from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan.networks.additions import latents_of
from gan.networks.blur import Blur, DoublingBlur
from gan.networks.equalised import GAIN, EqualisedConv2d, EqualisedLinear, EqualisedProjection, rectified
from gan.networks.family import Family, LazyTerm
from gan.networks.low import LowImage
from gan.networks.minibatch import MinibatchStd
from gan.networks.noise import normals, seeds, uniforms
from gan.networks.shape import Network, Shape
from gan.networks.styles import Mapping, PlainToImage, ToImage, adaptive_layers, demodulated_layers

MIXING = 0.9  # share of the images in training that are drawn in two styles
PATH_WEIGHT, PATH_EVERY, PATH_DECAY = 2.0, 4, 0.01
NOISE, OTHER, CROSSING, DIRECTION = range(4)  # streams of an image's random numbers


class Generator(Network):
    """z (N, latent_dim) and labels (N,) to images (N, C, H, W) in [-1, 1]; in training mode of mixed styles."""

    path_length: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        widths = [shape.width_at(level) for level in range(shape.levels, -1, -1)]
        style_dim = shape.latent_dim
        self.mapping = Mapping(shape.classes, style_dim)
        self.constant = nn.Parameter(torch.empty(widths[0], shape.base, shape.base))
        nn.init.normal_(self.constant)
        layers = adaptive_layers if shape.adain else demodulated_layers
        self.convs = nn.ModuleList(layers(widths, style_dim))
        to_image = partial(PlainToImage, levels=len(widths)) if shape.adain else partial(ToImage, style_dim=style_dim)
        self.to_images = nn.ModuleList(to_image(width, shape.channels) for width in widths)
        self.enlarge = DoublingBlur()
        if shape.low_images:
            self.low_image = LowImage(shape)
        self.register_buffer("path_length", torch.zeros(()))
        self._layers_at = [range(max(0, end - 2), end) for end in range(1 + bool(shape.adain), len(self.convs) + 1, 2)]
        self._sides = [side for side, layers in zip(shape.sides, self._layers_at, strict=True) for _ in layers]

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """z float (N, latent_dim), labels int64 (N,); returns (N, C, H, W) in [-1, 1]."""
        return self.drawn(self.styles(z, labels), z)

    def styles(self, z: Tensor, labels: Tensor) -> Tensor:
        """A w for each layer that has one: (N, layers, latent_dim)."""
        w = self._by_layer(z, labels)
        if not self.training:
            return w
        layers, seed = w.shape[1], seeds(z)
        other = self._by_layer(latents_of(self, normals(seed, OTHER, z.shape[1]).to(z.dtype), labels), labels)
        mixed, place = uniforms(seed, CROSSING, 2).unbind(dim=1)
        crossing = torch.where(mixed < MIXING, 1 + (place * (layers - 1)).floor(), layers)
        first = torch.arange(layers, device=z.device) < crossing[:, None]
        return torch.where(first[:, :, None], w, other)

    def _by_layer(self, z: Tensor, labels: Tensor) -> Tensor:
        """The w of each layer, (N, layers, latent_dim): where ``shape.unlabelled`` says so, that of no class."""
        layers, low = 2 * len(self._layers_at), self.shape.low
        w = self.mapping(z, labels)[:, None]
        if low < 0:
            return w.expand(-1, layers, -1)
        plain = self._layers_at[low].stop
        without = self.mapping(z, None)[:, None]
        return torch.cat([without.expand(-1, plain, -1), w.expand(-1, layers - plain, -1)], dim=1)

    def drawn(self, styles: Tensor, z: Tensor) -> Tensor:
        """Images (N, C, H, W) of ``styles`` (N, layers, latent_dim), with the noise that goes with z."""
        at, noise = styles.unbind(dim=1), self._noise(z)
        x = self.constant.expand(len(z), -1, -1, -1).contiguous(memory_format=torch.channels_last)
        image: Tensor | None = None
        for level, (layers, to_image) in enumerate(zip(self._layers_at, self.to_images, strict=True)):
            for layer in layers:
                x = self.convs[layer](x, at[layer], noise[layer])
            added = to_image(x, at[self._of_image(level)])
            image = added if image is None else self.enlarge(image) + added
            self._show_low(image, level)
        assert image is not None
        return torch.tanh(image)[:, :, : self.shape.image_size, : self.shape.image_size]

    def _of_image(self, level: int) -> int:
        """Whose w makes a level's image: the next layer's, as in the paper, or its own where the next has the label."""
        return 2 * level + (level != self.shape.low)

    def _show_low(self, image: Tensor, level: int) -> None:
        if self.shape.low_images and level == self.shape.low:
            self.low_image(image)

    def _noise(self, z: Tensor) -> list[Tensor]:
        """(N, 1, H, W) for each convolution."""
        values = normals(seeds(z), NOISE, sum(side**2 for side in self._sides)).to(self.constant.dtype)
        parts = values.split([side**2 for side in self._sides], dim=1)
        return [part.view(-1, 1, side, side) for part, side in zip(parts, self._sides, strict=True)]


class DownBlock(nn.Module):
    """A residual block that halves the resolution, rounding down."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = EqualisedConv2d(inputs, inputs, 3, gain=GAIN)
        self.blur = Blur(padding=2)
        self.second = EqualisedConv2d(inputs, outputs, 3)  # its gain √2 goes with the 1/√2 of the sum
        self.halve = Blur(padding=1, stride=2)
        self.skip = EqualisedConv2d(inputs, outputs, 1, bias=None, gain=1 / GAIN)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H/2, W/2)."""
        y = self.blur(rectified(self.first(x)))
        y = rectified(F.conv2d(y, self.second.weight, self.second.bias, stride=2))
        return y + self.skip(self.halve(x))


class Critic(Network):
    """Images (N, C, H, W) and labels (N,) to scores (N,); no layer sees more than one image, but for minibatch_std."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        widths = [shape.width_at(level) for level in range(shape.levels + 1)]
        statistics = [MinibatchStd(shape.minibatch_std)] if shape.minibatch_std else []
        self.from_image = EqualisedConv2d(shape.channels, widths[0], 1, gain=GAIN)
        self.blocks = nn.Sequential(*(DownBlock(i, o) for i, o in pairwise(widths)), *statistics)
        self.last = EqualisedConv2d(widths[-1] + len(statistics), widths[-1], 3, gain=GAIN)
        side = shape.image_size >> shape.levels
        self.dense = EqualisedLinear(widths[-1] * side**2, widths[-1], gain=GAIN)
        self.head = EqualisedProjection(shape.classes, widths[-1])
        if shape.low_images:
            self.from_low_image = EqualisedConv2d(shape.channels, widths[shape.low_halvings], 1, gain=GAIN)
            self.low_score = EqualisedLinear(widths[-1], 1)

    def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """images float (N, C, H, W) in [-1, 1], labels int64 (N,); returns float (N,).

        With ``shape.low_images`` the labels None stand for images of the lower level, which have none.
        """
        if labels is not None:
            return self.head(self._features(self.blocks(rectified(self.from_image(images)))), labels)
        skipped = self.shape.low_halvings
        side = self.shape.image_size >> skipped
        x = rectified(self.from_low_image(images[:, :, :side, :side]))
        return self.low_score(self._features(self.blocks[skipped:](x))).squeeze(1)

    def _features(self, x: Tensor) -> Tensor:
        return rectified(self.dense(rectified(self.last(x)).flatten(1)))


def path_lengths(generator: Network, latents: Tensor, labels: Tensor) -> Tensor:
    """Lengths of the images' paths (section 3.2): of ∂(image · y)/∂w for random y, (N,), with a gradient.

    Its mean square is over the layers, as in the paper's code; in float32 also under autocast.
    """
    assert isinstance(generator, Generator)
    z = latents_of(generator, latents, labels)
    with torch.autocast(z.device.type, enabled=False):
        styles = generator.styles(z, labels)
        images = generator.drawn(styles, z)
        direction = normals(seeds(z), DIRECTION, images[0].numel()).view_as(images) / images.shape[-1]
        (gradient,) = torch.autograd.grad((images * direction).sum(), styles, create_graph=True)
        return (gradient.square().sum(dim=2).mean(dim=1) + 1e-12).sqrt()


def path_spread(generator: Network, lengths: Tensor, mean: Tensor) -> Tensor:
    """How far lengths keep from their running mean, which takes ``mean`` in before (eq. 4), weighted as there."""
    assert isinstance(generator, Generator)
    return PATH_WEIGHT * (lengths - generator.path_length.lerp(mean, PATH_DECAY)).square().mean()


def remember_path_length(generator: Network, mean: Tensor) -> None:
    """Moves the running mean towards that of a batch."""
    assert isinstance(generator, Generator)
    generator.path_length.lerp_(mean, PATH_DECAY)


# Four times the learning rate of the authors' later code (stylegan2-ada), whose runs are hundreds of times as long. On
# 8x8 digits after 16 s of one thread 0.01 leaves a KID of 0.04 (recipe stylegan2) and 0.16 (wgan-gp), 0.005 0.2 and 0.3
FAMILY = Family(
    Generator,
    Critic,
    generator_terms=(LazyTerm(path_lengths, path_spread, remember_path_length, PATH_EVERY, share=0.5),),
    leaves_labels_out=True,
    styled=True,
    defaults={"critic_lr": 1e-2, "generator_lr": 1e-2, "minibatch_std": 4},
    large={"critic_lr": 5e-3, "generator_lr": 5e-3},
)
