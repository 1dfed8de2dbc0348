"""Equalised layers: unit variance at the start, and one speed of learning for layers of all sizes."""

import pytest
import torch

from gan.networks.equalised import EqualisedConv2d, EqualisedLinear


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("inputs", [8, 64, 512])
@pytest.mark.parametrize("multiplier", [1.0, 0.01])
def test_the_result_has_the_variance_of_the_gain(inputs: int, multiplier: float) -> None:
    linear = EqualisedLinear(inputs, 256, gain=2.0, lr_multiplier=multiplier)
    assert linear(torch.randn(256, inputs)).var().item() == pytest.approx(4, rel=0.15)
    conv = EqualisedConv2d(inputs, 32, 3, gain=2.0, lr_multiplier=multiplier)
    inner = conv(torch.randn(16, inputs, 8, 8))[:, :, 1:-1, 1:-1]  # at the border some inputs are zeros
    assert inner.var().item() == pytest.approx(4, rel=0.2)


@pytest.mark.parametrize("multiplier", [1.0, 0.1])
def test_stored_weights_have_one_scale_and_move_the_function_at_one_speed(multiplier: float) -> None:
    """A step of 0.01 at every stored weight moves the result by 0.01 · multiplier · gain · √inputs at inputs of 1."""
    for inputs in (16, 256):
        layer = EqualisedLinear(inputs, 8, bias=0.5, gain=1.5, lr_multiplier=multiplier)
        assert layer.stored_weight.std().item() == pytest.approx(1 / multiplier, rel=0.2)
        torch.testing.assert_close(layer(torch.zeros(1, inputs)), torch.full((1, 8), 0.5))
        x = torch.ones(1, inputs)
        before = layer(x)
        with torch.no_grad():
            layer.stored_weight += 0.01
            layer.stored_bias += 0.01
        moved = 0.01 * multiplier * (1.5 * inputs**0.5 + 1)
        torch.testing.assert_close(layer(x) - before, torch.full((1, 8), moved), rtol=1e-3, atol=1e-4)


def test_a_layer_without_bias_has_none() -> None:
    for layer in (EqualisedLinear(4, 2, bias=None), EqualisedConv2d(4, 2, 1, bias=None)):
        assert layer.bias is None and len(list(layer.parameters())) == 1
