"""Training: modules against a hand-written route, resumed runs, batches split over workers, seeds beside each other."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from samebits import exact
from tests.made import small

F64 = torch.float64


def by_hand(epochs: int) -> dict[str, Tensor]:
    """The small network without modules, autograd or optimiser: every rounding is written here."""
    model, (pixels, labels) = small.network(), small.data()
    w = [x.detach().clone() for x in model.parameters()]
    v = [torch.zeros_like(x) for x in w]
    w1, b1, w2, b2, w3, b3 = w
    levels, onehot = torch.tensor(255, dtype=F64), torch.eye(10, dtype=F64)[labels]
    for epoch in range(epochs):
        for rows in exact.permutation(len(labels), 0, f"order/{epoch}").split(small.BATCH):
            x, y = pixels[rows], onehot[rows]
            h1 = (exact.matmul(x, w1.T) / levels + b1).clamp(min=0)
            h2 = (torch.cat([exact.matmul(h[None], w2.T) for h in h1]) + b2).clamp(min=0)
            z = torch.cat([exact.matmul(h[None], w3.T) for h in h2]) + b3
            g3 = (exact.softmax(z) - y) / torch.tensor(len(rows), dtype=F64)
            g2 = exact.matmul(g3, w3) * (h2 > 0)
            g1 = exact.matmul(g2, w2) * (h1 > 0)
            g = [exact.matmul((g1 / levels).T, x), exact.sum(g1, 0), exact.matmul(g2.T, h1), exact.sum(g2, 0),
                 exact.matmul(g3.T, h2), exact.sum(g3, 0)]  # fmt: skip
            for i in range(6):
                v[i] = v[i] * small.MOMENTUM + g[i]
                w[i] -= v[i] * small.LR
    return dict(zip(model.state_dict(), w, strict=True))


def test_modules_equal_the_hand_written_route() -> None:
    assert exact.digest(small.trained(2).state_dict()) == exact.digest(by_hand(2))


def test_it_learns_what_float64_learns() -> None:
    pixels, labels = small.data()
    model, loss = small.trained(), exact.CrossEntropyLoss()
    assert loss(model(pixels), labels) < loss(small.network()(pixels), labels) - 0.2
    twin = small.control()
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs.double(), rtol=1e-3, atol=1e-4)


def test_a_killed_run_resumes_to_the_same_bits(tmp_path: Path) -> None:
    pixels, labels = small.data()
    whole = exact.digest(small.trained(3).state_dict())
    for epoch in range(3):  # a new model and optimiser every epoch, from a file
        model = small.network(seed=99)
        optimiser = exact.SGD(model.parameters(), small.LR, small.MOMENTUM)
        if epoch:
            saved = torch.load(tmp_path / "state.pt", weights_only=True)
            model.load_state_dict(saved["model"])
            optimiser.load_state_dict(saved["optimiser"])
        else:
            model.load_state_dict(small.network().state_dict())
        small.train(model, optimiser, exact.CrossEntropyLoss(), range(epoch, epoch + 1), pixels, labels)
        torch.save({"model": model.state_dict(), "optimiser": optimiser.state_dict()}, tmp_path / "state.pt")
    assert exact.digest(model.state_dict()) == whole


def softmax_regression(order: Tensor | None = None, workers: int = 1, steps: int = 5) -> str:
    """Steps of softmax regression with features in another order and the batch split over workers."""
    pixels, labels = small.data()
    order = torch.arange(pixels.shape[1]) if order is None else order
    pixels = pixels[:, order]
    w, b = exact.normal((10, 196), 0.01, 0, "w")[:, order], torch.zeros(10, dtype=F64)
    count, levels = torch.tensor(256, dtype=F64), torch.tensor(255, dtype=F64)
    for step in range(steps):
        parts = torch.arange(256).add(step * 51).tensor_split(workers)
        gaps = []
        for rows in parts:
            z = exact.matmul(pixels[rows], w.T) / levels + b
            gaps.append((exact.softmax(z) - torch.eye(10, dtype=F64)[labels[rows]]) / count)
        top = max(g.abs().max().item() for g in gaps)
        top_pixel = max((g / levels).abs().max().item() for g in gaps)
        dw, db = torch.zeros_like(w), torch.zeros_like(b)
        for rows, g in reversed(list(zip(parts, gaps, strict=True))):
            dw += exact.matmul((g / levels).T, pixels[rows], a_peak=top_pixel, terms=256)
            db += exact.sum(g, 0, peak=top, count=256)
        w, b = w - dw * 0.5, b - db * 0.5
    return exact.digest({"w": w[:, order.argsort()], "b": b})


def test_feature_order_and_workers_do_not_matter() -> None:
    once = softmax_regression()
    for workers in (2, 3, 8):
        assert softmax_regression(workers=workers) == once
    for seed in range(3):
        assert softmax_regression(exact.permutation(196, seed, "features"), workers=1 + seed) == once


def test_order_of_samples_within_a_batch_does_not_matter() -> None:
    pixels, labels = small.data()
    hashes = set()
    for seed in range(3):
        rows = exact.permutation(64, seed, "rows")
        model = small.network()
        loss = exact.CrossEntropyLoss()(model(pixels[rows]), labels[rows])
        loss.backward()
        hashes.add(
            exact.digest({"loss": loss, **{k: p.grad for k, p in model.named_parameters() if p.grad is not None}})
        )
    assert len(hashes) == 1


def test_float32_splits_where_exact_does_not() -> None:
    """The control: the order of the features alone changes float32's bits."""
    orders = [None, *(exact.permutation(196, seed, "features") for seed in range(3))]
    assert len({exact.digest(small.control(order).state_dict()) for order in orders}) > 1


def test_a_seed_does_not_depend_on_those_beside_it() -> None:
    pixels, labels = small.data()
    seeds = [3, 1, 2]
    rows = torch.stack([exact.permutation(512, seed, "order")[:64] for seed in seeds])
    weight = torch.stack([exact.normal((10, 196), 0.01 * 10**seed, seed, "w") for seed in seeds]).requires_grad_()
    bias = torch.zeros(3, 10, dtype=F64).requires_grad_()
    losses = exact.cross_entropy(exact.linear(pixels[rows], weight, bias), labels[rows])
    together = (losses, *torch.autograd.grad(losses.sum(), (weight, bias)))
    for i in range(3):
        w, b = weight[i].detach().requires_grad_(), bias[i].detach().requires_grad_()
        loss = exact.cross_entropy(exact.linear(pixels[rows[i]], w, b), labels[rows[i]])
        for one, all_ in zip((loss, *torch.autograd.grad(loss, (w, b))), together, strict=True):
            assert torch.equal(one, all_[i])


def test_an_images_logits_do_not_depend_on_the_images_beside_it() -> None:
    model, (pixels, _) = small.trained(), small.data()
    together = model(pixels[:40])
    for rows in (slice(0, 1), slice(7, 20), slice(39, 40)):
        assert torch.equal(model(pixels[rows]), together[rows])


def test_linear_takes_levels_leading_axes_and_no_bias() -> None:
    x = torch.arange(24, dtype=torch.uint8).view(2, 3, 4)
    layer = exact.Linear(4, 2, bias=False, levels=1, dtype=F64)
    assert layer.bias is None
    assert torch.equal(layer(x), (x.double() @ layer.weight.T))
    assert torch.equal(layer(x[0, 0]), layer(x)[0, 0])
    torch.testing.assert_close(layer(x.double()), layer(x))
    assert (layer.normal_(0.01).weight.abs() < 0.05).all()


@pytest.mark.parametrize(("momentum", "weight_decay"), [(0.0, 0.0), (0.9, 0.0), (0.5, 0.1), (0.0, 0.1)])
def test_sgd_has_the_recursions_of_torch(momentum: float, weight_decay: float) -> None:
    ours, theirs = (nn.Parameter(exact.normal((50,), 1.0, 0, "w")) for _ in range(2))
    a = exact.SGD([ours], 0.1, momentum, weight_decay=weight_decay)
    b = torch.optim.SGD([theirs], 0.1, momentum, weight_decay=weight_decay)
    for i in range(5):
        ours.grad, theirs.grad = (exact.normal((50,), 1.0, i, "g") for _ in range(2))
        a.step()
        b.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-14, atol=1e-14)


def test_relu_of_torch_is_exact_and_negative_zeros_are_invisible() -> None:
    z = torch.tensor([-0.0, 0.0, -1.0, 2.0], dtype=F64)
    assert exact.digest({"z": torch.relu(z)}) == exact.digest({"z": torch.tensor([0.0, 0, 0, 2], dtype=F64)})
