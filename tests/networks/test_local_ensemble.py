"""What chunks, recomputation and short types may not change."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from arbiscale.networks.implicit_head import blend
from arbiscale.networks.local_ensemble import Queries, chunk_queries, multiplied_in

WIDTH, PIXELS, COUNT = 5, 6, 7
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def queries(chunk: int) -> Queries:
    """Seven queries with random neighbours, coordinates and areas; the same for every chunk size."""
    generator = torch.Generator().manual_seed(1)
    index = torch.randint(PIXELS, (4, COUNT), generator=generator)
    relative = torch.randn(4, COUNT, 2, dtype=torch.float64, generator=generator)
    area = torch.rand(4, COUNT, dtype=torch.float64, generator=generator)
    return Queries.in_chunks(index, relative, area, chunk)


def network(hidden: int) -> list[Tensor]:
    """Table, coordinates' weights, then weight and bias of each further layer, in double precision."""
    shapes = [(PIXELS, WIDTH), (2, WIDTH), *[(WIDTH, WIDTH), (WIDTH,)] * hidden, (3, WIDTH), (3,)]
    return [torch.randn(shape, dtype=torch.float64) for shape in shapes]


def pairs(tensors: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
    return list(zip(tensors[2::2], tensors[3::2], strict=True))


def evaluate(tensors: list[Tensor], chunk: int) -> Tensor:
    return blend(queries(chunk), tensors[0], tensors[1], pairs(tensors))


def plainly(tensors: list[Tensor]) -> Tensor:
    """The same in one piece, with nothing but torch's own differentiation."""
    whole = queries(COUNT)
    values = torch.relu(tensors[0][whole.index[0]] + whole.relative[0] @ tensors[1])
    layers = pairs(tensors)
    for weight, bias in layers[:-1]:
        values = torch.relu(values @ weight.t() + bias)
    outputs = values @ layers[-1][0].t() + layers[-1][1]
    return (outputs.unflatten(0, (4, -1)) * whole.area[0]).sum(0)


@pytest.mark.parametrize("chunk", [1, 3, 7, 100])
@pytest.mark.parametrize("hidden", [0, 1, 2, 4])
def test_values_and_all_gradients_are_those_of_the_plain_computation(hidden: int, chunk: int) -> None:
    ours = [tensor.requires_grad_() for tensor in network(hidden)]
    plain = [tensor.detach().clone().requires_grad_() for tensor in ours]
    drawn, expected = evaluate(ours, chunk), plainly(plain)
    assert_close(drawn, expected)
    outer = torch.randn_like(expected)
    gradients = torch.autograd.grad(drawn, ours, outer)
    for gradient, other in zip(gradients, torch.autograd.grad(expected, plain, outer), strict=True):
        assert other.any()
        assert_close(gradient, other)


def test_what_is_frozen_gets_no_gradient_and_changes_no_other() -> None:
    tensors = network(2)
    tensors[0].requires_grad_()
    alone = torch.autograd.grad(evaluate(tensors, 3).sum(), tensors[0])[0]
    for tensor in tensors:
        tensor.requires_grad_()
    tensors[4].requires_grad_(False)  # the second hidden layer's weight
    evaluate(tensors, 3).sum().backward()
    assert tensors[4].grad is None
    assert all(tensor.grad is not None for tensor in tensors if tensor is not tensors[4])
    assert torch.equal(alone, tensors[0].grad)


@pytest.mark.parametrize(("hidden", "kept"), [(0, 0), (1, 0), (2, 1), (4, 3)])
def test_first_and_last_activations_are_not_kept(hidden: int, kept: int) -> None:
    tensors = [tensor.requires_grad_() for tensor in network(hidden)]
    saved: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        saved.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        evaluate(tensors, 3)
    assert len(saved) == len(tensors) + kept
    assert all(each.shape == (3, 4 * 3, WIDTH) for each in saved[len(tensors) :])


def test_nothing_is_kept_where_nothing_learns() -> None:
    with torch.no_grad():
        without = evaluate([tensor.requires_grad_() for tensor in network(3)], 2)
    torch.manual_seed(0)
    frozen = evaluate(network(3), 2)
    torch.manual_seed(0)
    learning = evaluate([tensor.requires_grad_() for tensor in network(3)], 2)
    assert without.grad_fn is None
    assert frozen.grad_fn is None
    assert learning.grad_fn is not None
    assert torch.equal(without, frozen)
    assert torch.equal(without, learning.detach())


def test_chunks_are_equal_and_filled_with_queries_of_no_area() -> None:
    chunks = queries(3)
    assert chunks.index.shape == (3, 12)
    assert chunks.relative.shape == (3, 12, 2)
    assert chunks.area.shape == (3, 4, 3, 1)
    assert not chunks.area[2, :, 1:].any()  # 7 = 3 + 3 + 1
    assert chunks.area[2, :, :1].all()
    assert torch.equal(chunks.index[1].view(4, 3), queries(7).index.view(4, 7)[:, 3:6])


def test_chunks_hold_equal_memory_for_each_thread_of_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    held = set()
    for threads in (1, 2, 16):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        for width, dtype in ((64, torch.float32), (256, torch.float32), (256, torch.float64)):
            held.add(chunk_queries(width, dtype, CPU, count=1) * width * dtype.itemsize / threads)
    assert len(held) == 1
    assert chunk_queries(10**6, torch.float32, CPU, count=1) >= 1


def test_an_accelerators_chunks_are_as_large_as_asked_within_a_bound() -> None:
    accelerator = torch.device("cuda")
    assert chunk_queries(256, torch.bfloat16, accelerator, count=100) == 100
    assert chunk_queries(256, torch.bfloat16, accelerator, count=10**7) < 10**6


def test_short_types_are_multiplied_in_float32_where_they_would_be_emulated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for dtype in (torch.float32, torch.float64):
        assert multiplied_in(dtype, CPU) == dtype
    for dtype in (torch.bfloat16, torch.float16):
        assert multiplied_in(dtype, torch.device("cuda")) == dtype
        monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
        assert multiplied_in(dtype, CPU) == torch.float32
        monkeypatch.undo()
