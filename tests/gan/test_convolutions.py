"""The cheaper forms of convolutions: the same function, the same derivatives, the same bits whatever is beside."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan.networks.convolutions import convolve, convolve_and_halve, double_and_convolve

Form = Callable[[nn.Conv2d, Tensor], Tensor]

FORMS: dict[str, tuple[Form, Form, tuple[int, int]]] = {
    "halved": (convolve_and_halve, lambda conv, x: F.avg_pool2d(conv(x), 2), (8, 6)),
    "halved, odd": (
        convolve_and_halve,
        lambda conv, x: F.avg_pool2d(conv(x), 2, ceil_mode=True, count_include_pad=False),
        (7, 8),
    ),
    "doubled": (
        lambda conv, x: double_and_convolve(x, conv),
        lambda conv, x: conv(x.repeat_interleave(2, 2).repeat_interleave(2, 3)),
        (5, 4),
    ),
    "4x4": (convolve, lambda conv, x: conv(x), (4, 4)),
    "not 4x4": (convolve, lambda conv, x: conv(x), (4, 5)),
}
EACH = pytest.mark.parametrize(("form", "plain", "sides"), FORMS.values(), ids=FORMS)


def made(sides: tuple[int, int], dtype: torch.dtype) -> tuple[nn.Conv2d, Tensor]:
    """A convolution of 6 to 10 channels, and five images for it."""
    torch.manual_seed(0)
    return nn.Conv2d(6, 10, 3, padding=1).to(dtype), torch.randn(5, 6, *sides, dtype=dtype, requires_grad=True)


@EACH
def test_it_is_the_plain_layers_function(form: Form, plain: Form, sides: tuple[int, int]) -> None:
    conv, x = made(sides, torch.float64)
    torch.testing.assert_close(form(conv, x), plain(conv, x), rtol=1e-12, atol=1e-12)
    unbiased = nn.Conv2d(6, 10, 3, padding=1, bias=False).double()
    torch.testing.assert_close(form(unbiased, x), plain(unbiased, x), rtol=1e-12, atol=1e-12)


@EACH
def test_so_are_its_derivatives_and_those_of_a_gradient_penalty(
    form: Form, plain: Form, sides: tuple[int, int]
) -> None:
    conv, x = made(sides, torch.float64)

    def derivatives(layer: Form) -> tuple[Tensor, ...]:
        score = layer(conv, x).tanh().sum()
        (gradient,) = torch.autograd.grad(score, x, create_graph=True)
        return torch.autograd.grad(score + gradient.square().sum(), (x, conv.weight, conv.bias))

    for ours, reference in zip(derivatives(form), derivatives(plain), strict=True):
        torch.testing.assert_close(ours, reference, rtol=1e-10, atol=1e-10)


@EACH
def test_float32_loses_a_few_bits_at_most(form: Form, plain: Form, sides: tuple[int, int]) -> None:
    conv, x = made(sides, torch.float32)
    exact = plain(conv.double(), x.double())
    torch.testing.assert_close(form(conv.float(), x).double(), exact, rtol=0, atol=2e-5)


def test_bfloat16_has_no_bits_to_lose_and_takes_the_plain_layer() -> None:
    conv, x = made((4, 4), torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(convolve(conv, x), conv(x))
    assert not torch.equal(convolve(conv, x), conv(x))
    torch.testing.assert_close(convolve(conv, x), conv(x), rtol=0, atol=2e-5)


@EACH
def test_channels_last_stays_channels_last(form: Form, plain: Form, sides: tuple[int, int]) -> None:
    conv, x = made(sides, torch.float32)
    conv, x = conv.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    assert form(conv, x).is_contiguous(memory_format=torch.channels_last)
