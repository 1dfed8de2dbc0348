"""StyleGAN2 (Karras et al. 2020, arXiv 1912.04958) for any size, with labels.

Kept from the paper and its code: the mapping network, modulated convolutions that are demodulated, noise inputs, the
skip generator and the residual critic with blurred resampling (configuration F), equalised learning rates, style mixing
(Karras et al. 2019), path length regularisation. Layers, but for what the labels add, have the paper's sizes where
widths are the paper's. What differs:

- The label enters the mapping beside z, and the critic by projection (Miyato & Koyama 2018).
- What an image takes by chance, noise and the second style of a mixture, comes from its own z (``gan.networks.noise``).
- Images end in tanh, as all of this package do.
- Sizes that are no powers of two: the generator cuts, the critic's levels round down and yet look at every pixel.

A modulated convolution is the plain one of scaled inputs, with scaled outputs. On a processor that takes a third to a
twentieth of the time of one convolution a group, which has weights of its own for each image.
"""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan.networks.additions import latents_of
from gan.networks.blur import Blur, DoublingBlur
from gan.networks.conditioning import LabelEmbedding
from gan.networks.equalised import EqualisedConv2d, EqualisedLinear, EqualisedProjection
from gan.networks.family import Family, LazyTerm
from gan.networks.low import LowImage
from gan.networks.minibatch import MinibatchStd
from gan.networks.noise import normals, seeds, uniforms
from gan.networks.shape import Network, Shape

GAIN = math.sqrt(2)  # with a leaky ReLU, before or after it, keeps the variance, nearly
SLOPE = 0.2
MAPPING_LAYERS, MAPPING_LR = 8, 0.01
MIXING = 0.9  # share of the images in training that are drawn in two styles
PATH_WEIGHT, PATH_EVERY, PATH_DECAY = 2.0, 4, 0.01
NOISE, OTHER, CROSSING, DIRECTION = range(4)  # streams of an image's random numbers


class Mapping(nn.Module):
    """z and the label to an intermediate latent vector w, in float32 also under autocast."""

    def __init__(self, classes: int, latent_dim: int) -> None:
        super().__init__()
        self.embed = LabelEmbedding(classes, latent_dim)
        inputs = [2 * latent_dim] + [latent_dim] * (MAPPING_LAYERS - 1)
        self.layers = nn.ModuleList(EqualisedLinear(i, latent_dim, gain=GAIN, lr_multiplier=MAPPING_LR) for i in inputs)

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """z (N, latent_dim), labels int64 (N,), or None for no class, to w (N, latent_dim)."""
        with torch.autocast(z.device.type, enabled=False):
            label = torch.zeros_like(z) if labels is None else self.embed(labels)
            w = torch.cat([_unit_length(z), label], dim=1)
            for layer in self.layers:
                w = _rectified(layer(w))
        return w


class ModulatedConv(nn.Module):
    """A convolution whose weights are scaled along the inputs, for each image by its style (section 2.2).

    Args:
        demodulated: also along the outputs, so that inputs of unit variance give outputs of unit variance.
        up: doubles the resolution; the blur after it takes the checkerboard out.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, style_dim: int, demodulated: bool = True, up: bool = False
    ) -> None:
        super().__init__()
        self.affine = EqualisedLinear(style_dim, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.empty(outputs, inputs, kernel, kernel))
        nn.init.normal_(self.weight)
        self.blur = Blur(padding=1, gain=4.0) if up else None
        self._scale, self._demodulated = 1 / math.sqrt(inputs * kernel**2), demodulated

    def forward(self, x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        """x (N, inputs, H, W), w (N, style_dim) to what is yet to be multiplied: (N, outputs, H', W') and factors.

        H' is H or 2H; the factors are (N, outputs, 1, 1), or 1 without demodulation.
        """
        with torch.autocast(x.device.type, enabled=False):
            style = self.affine(w) * self._scale
            factors = torch.ones((), device=x.device)
            if self._demodulated:
                squares = style.square() @ self.weight.square().sum(dim=(2, 3)).T
                factors = (squares + 1e-8).rsqrt()[:, :, None, None]
        return self._convolved(x * style[:, :, None, None].to(x.dtype)), factors

    def _convolved(self, x: Tensor) -> Tensor:
        if self.blur is None:
            return F.conv2d(x, self.weight, padding=self.weight.shape[2] // 2)
        return self.blur(F.conv_transpose2d(x, self.weight.transpose(0, 1), stride=2))


class StyledConv(nn.Module):
    """A modulated convolution, noise of a learned strength, bias, leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, style_dim: int, up: bool = False) -> None:
        super().__init__()
        self.conv = ModulatedConv(inputs, outputs, 3, style_dim, up=up)
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor) -> Tensor:
        """x (N, inputs, H, W), w (N, style_dim), noise (N, 1, H', W') to (N, outputs, H', W')."""
        y, factors = self.conv(x, w)
        noise = noise * (self.noise_strength * GAIN)
        y = torch.addcmul(noise.to(y.dtype), y, (factors * GAIN).to(y.dtype))
        return _rectified(y + (self.bias * GAIN).view(1, -1, 1, 1).to(y.dtype))


class ToImage(nn.Module):
    """A modulated convolution of one pixel, not demodulated, and a bias."""

    def __init__(self, inputs: int, channels: int, style_dim: int) -> None:
        super().__init__()
        self.conv = ModulatedConv(inputs, channels, 1, style_dim, demodulated=False)
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """x (N, inputs, H, W), w (N, style_dim) to (N, channels, H, W), in float32 at least."""
        return self.conv(x, w)[0] + self.bias.view(1, -1, 1, 1)


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
        self.convs = nn.ModuleList([StyledConv(widths[0], widths[0], style_dim)])
        for inputs, outputs in pairwise(widths):
            self.convs += [StyledConv(inputs, outputs, style_dim, up=True), StyledConv(outputs, outputs, style_dim)]
        self.to_images = nn.ModuleList(ToImage(width, shape.channels, style_dim) for width in widths)
        self.enlarge = DoublingBlur()
        if shape.low_images:
            self.low_image = LowImage(shape)
        self.register_buffer("path_length", torch.zeros(()))
        self._sides = [shape.base, *(shape.base << level for level in range(1, shape.levels + 1) for _ in range(2))]

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """z float (N, latent_dim), labels int64 (N,); returns (N, C, H, W) in [-1, 1]."""
        return self.drawn(self.styles(z, labels), z)

    def styles(self, z: Tensor, labels: Tensor) -> Tensor:
        """A w for each layer that has one: (N, layers, latent_dim)."""
        layers = len(self.convs) + 1
        w = self._by_layer(z, labels)
        if not self.training:
            return w
        seed = seeds(z)
        other = self._by_layer(normals(seed, OTHER, z.shape[1]).to(z.dtype), labels)
        mixed, place = uniforms(seed, CROSSING, 2).unbind(dim=1)
        crossing = torch.where(mixed < MIXING, 1 + (place * (layers - 1)).floor(), layers)
        first = torch.arange(layers, device=z.device) < crossing[:, None]
        return torch.where(first[:, :, None], w, other)

    def _by_layer(self, z: Tensor, labels: Tensor) -> Tensor:
        """The w of each layer, (N, layers, latent_dim): where ``shape.unlabelled`` says so, that of no class."""
        layers, plain = len(self.convs) + 1, max(0, 2 * self.shape.low + 1)
        w = self.mapping(z, labels)[:, None]
        if not plain:
            return w.expand(-1, layers, -1)
        without = self.mapping(z, None)[:, None]
        return torch.cat([without.expand(-1, plain, -1), w.expand(-1, layers - plain, -1)], dim=1)

    def drawn(self, styles: Tensor, z: Tensor) -> Tensor:
        """Images (N, C, H, W) of ``styles`` (N, layers, latent_dim), with the noise that goes with z."""
        at = styles.unbind(dim=1)
        noise = self._noise(z)
        x = self.constant.expand(len(z), -1, -1, -1).contiguous(memory_format=torch.channels_last)
        x = self.convs[0](x, at[0], noise[0])
        image = self.to_images[0](x, at[self._of_image(0)])
        self._show_low(image, 0)
        for level, to_image in enumerate(self.to_images[1:], start=1):
            for layer in (2 * level - 1, 2 * level):
                x = self.convs[layer](x, at[layer], noise[layer])
            image = self.enlarge(image) + to_image(x, at[self._of_image(level)])
            self._show_low(image, level)
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
        y = self.blur(_rectified(self.first(x)))
        y = _rectified(F.conv2d(y, self.second.weight, self.second.bias, stride=2))
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
            return self.head(self._features(self.blocks(_rectified(self.from_image(images)))), labels)
        skipped = self.shape.low_halvings
        side = self.shape.image_size >> skipped
        x = _rectified(self.from_low_image(images[:, :, :side, :side]))
        return self.low_score(self._features(self.blocks[skipped:](x))).squeeze(1)

    def _features(self, x: Tensor) -> Tensor:
        return _rectified(self.dense(_rectified(self.last(x)).flatten(1)))


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
    defaults={"critic_lr": 1e-2, "generator_lr": 1e-2, "minibatch_std": 4},
)


def _rectified(x: Tensor) -> Tensor:
    return F.leaky_relu(x, SLOPE)


def _unit_length(z: Tensor) -> Tensor:
    """Each vector over the root of its mean square (Karras et al. 2018, section 4.2)."""
    return z * (z.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
