import pytest
import torch

from workbench.inspection import singular_spectrum


def test_equal_values_have_full_rank():
    found = singular_spectrum(2 * torch.eye(6))
    assert found.values == pytest.approx((2.0,) * 6)
    assert found.effective_rank == pytest.approx(6.0)
    assert found.energy_rank == 6
    assert found.full_rank == 6


def test_an_outer_product_has_rank_one():
    found = singular_spectrum(torch.outer(torch.arange(1.0, 5.0), torch.arange(1.0, 8.0)))
    assert found.effective_rank == pytest.approx(1.0, abs=1e-3)
    assert found.energy_rank == 1


def test_effective_rank_is_the_exponential_of_the_entropy():
    found = singular_spectrum(torch.diag(torch.tensor([3.0, 1.0])))
    assert found.effective_rank == pytest.approx((4 / 3) ** 0.75 * 4**0.25)
    assert singular_spectrum(torch.diag(torch.tensor([3.0, 1.0])), energy=0.9).energy_rank == 1


def test_a_convolution_is_a_matrix_of_outputs_and_the_rest():
    assert singular_spectrum(torch.randn(4, 3, 3, 3)).full_rank == 4


def test_zeros_have_no_rank():
    found = singular_spectrum(torch.zeros(3, 4))
    assert found.effective_rank == 0.0
    assert found.energy_rank == 0
    assert found.held == (0.0, 0.0, 0.0)


def test_all_energy_is_held_at_the_end():
    assert singular_spectrum(torch.randn(5, 9)).held[-1] == pytest.approx(1.0)
