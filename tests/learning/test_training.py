import math

import pytest
import torch
from torch.nn import functional as F

from samebits.base.errors import UserError
from samebits.base.params import Training
from samebits.datasets.split import Split
from samebits.learning.arithmetic import arithmetic
from samebits.learning.concise import Concise, network
from samebits.learning.initial import first_layers, order
from samebits.learning.scratch import Scratch, gradient, net
from samebits.learning.training import figures, fit

BLOCK = Training(seeds=[0], epochs=3, batch_size=32, lr=0.1, momentum=0.5, init_std=0.01, hidden=[])


def images(count, seed):
    """Ten classes of 6 x 6 images, each bright in a place of its own."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(10, (count,), generator=generator)
    pixels = torch.randint(0, 100, (count, 36), generator=generator)
    pixels[torch.arange(count), 3 * labels] += 150
    return Split(pixels.to(torch.uint8).view(count, 6, 6), labels.to(torch.uint8))


SPLITS = {"train": images(500, 1), "test": images(200, 2)}  # 500 is not a multiple of 32


def learners(ops, block=BLOCK, seeds=(0,)):
    [(W, b)] = layers = first_layers([36, 10], block.init_std, seeds)
    return Scratch(ops, W, b, block.lr, block.momentum), Concise(ops, network(ops, layers), block.lr, block.momentum)


def history(ops, learner, block=BLOCK, seeds=(0,)):
    return [row for rows in fit(ops, learner, SPLITS, block, seeds, name="test") for row in rows]


def test_scratch_and_concise_are_one_model_in_float32():
    ops = arithmetic("float32")
    by_hand, by_library = learners(ops)
    for ours, theirs in zip(history(ops, by_hand), history(ops, by_library), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)
    assert torch.allclose(by_hand.W, by_library.state()["1.weight"], atol=1e-6)


def test_scratch_and_concise_are_one_model_to_the_last_bit_in_exact():
    ops = arithmetic("exact")
    by_hand, by_library = learners(ops)
    assert history(ops, by_hand) == history(ops, by_library)
    assert torch.equal(by_hand.W, by_library.state()["1.weight"])
    assert torch.equal(by_hand.b, by_library.state()["1.bias"])


@pytest.mark.parametrize("name", ["float32", "exact"])
def test_learning_learns(name):
    ops = arithmetic(name)
    for learner in learners(ops):
        rows = history(ops, learner, BLOCK.model_copy(update={"epochs": 20}))
        assert rows[-1]["test_accuracy"] > 0.9
        assert rows[-1]["test_loss"] < 1 < rows[0]["train_loss"]


@pytest.mark.parametrize(("name", "within"), [("float32", 1e-7), ("wide", 1e-7), ("exact", 2**-9)])
def test_the_hand_derived_gradient_is_autograds(name, within):
    """On integers to some digits: each of the 32 samples' terms, up to 1/32, is rounded by up to 2^-8 of it."""
    ops = arithmetic(name)
    learner, _ = learners(ops)
    X, y = SPLITS["train"].images[:32].flatten(1), SPLITS["train"].labels[:32].long()
    W, b = learner.W[0].clone().requires_grad_(), learner.b[0].clone().requires_grad_()
    F.cross_entropy(F.linear(X.to(ops.dtype) / 255, W, b), y).backward()
    dW, db = gradient(ops, X, y, net(ops, X, learner.W[0], learner.b[0]))
    assert torch.allclose(dW, W.grad, rtol=0, atol=within)
    assert torch.allclose(db, b.grad, rtol=0, atol=within)


def test_momentum_is_torchs():
    ops = arithmetic("float32")
    learner, _ = learners(ops)
    W = learner.W.clone().requires_grad_()
    optimizer = torch.optim.SGD([W], lr=BLOCK.lr, momentum=BLOCK.momentum)
    for start in (0, 32, 64):
        X, y = SPLITS["train"].images[None, start : start + 32], SPLITS["train"].labels[None, start : start + 32].long()
        W.grad = gradient(ops, X.flatten(-2), y, learner.logits(X))[0]
        learner.step(X, y)
        optimizer.step()
    assert torch.allclose(learner.W, W, atol=1e-7)


def test_the_reported_loss_is_the_true_mean_and_a_split_has_one():
    ops = arithmetic("float32")
    _, learner = learners(ops)
    Z, y = learner.logits(SPLITS["test"].images[None])[0], SPLITS["test"].labels.long()
    loss, accuracy = figures(ops, Z, y)
    assert loss == pytest.approx(F.cross_entropy(Z, y).item(), rel=1e-6)
    assert accuracy == (Z.argmax(1) == y).double().mean()


def test_an_untrained_classifier_loses_about_log_of_ten():
    ops = arithmetic("float32")
    _, learner = learners(ops)
    Z = learner.logits(SPLITS["test"].images[None])[0]
    assert figures(ops, Z, SPLITS["test"].labels)[0] == pytest.approx(math.log(10), abs=0.01)


@pytest.mark.parametrize(("name", "lr"), [("float32", 1e38), ("exact", 1e308)])
def test_a_loss_that_is_not_finite_stops_with_run_epoch_step_and_lr(name, lr):
    ops = arithmetic(name)
    block = BLOCK.model_copy(update={"lr": lr})
    for learner in learners(ops, block):
        with pytest.raises(UserError, match=r"digits mlp seed 3, epoch 1, step \d+: .* lr 1e\+"):
            list(fit(ops, learner, SPLITS, block, [3], name="digits mlp"))


@pytest.mark.parametrize("name", ["float32", "exact"])
def test_each_seed_learns_as_if_alone(name):
    ops = arithmetic(name)
    for together, *alone in zip(
        learners(ops, seeds=[2, 5]), learners(ops, seeds=[2]), learners(ops, seeds=[5]), strict=True
    ):
        rows = history(ops, together, seeds=[2, 5])
        for i, (one, seed) in enumerate(zip(alone, [2, 5], strict=True)):
            expected = history(ops, one, seeds=[seed])
            if name == "exact":
                assert [row for row in rows if row["seed"] == seed] == expected
                for key, tensor in one.state().items():
                    assert torch.equal(together.state()[key][i], tensor[0])
            else:
                assert rows[i - 2] == pytest.approx(expected[-1], abs=1e-5)


def test_a_seed_that_diverges_is_named():
    ops = arithmetic("exact")
    for learner in learners(ops, seeds=[2, 5, 7]):
        parameters = [learner.W] if isinstance(learner, Scratch) else list(learner.net.parameters())
        parameters[0].data[1] = math.nan
        with pytest.raises(UserError, match=r"test seed 5, epoch 1, step 1: NaN or infinity in .* at lr 0\.1"):
            history(ops, learner, seeds=[2, 5, 7])


def test_weights_start_where_the_parameters_say():
    [(W, b)] = first_layers([784, 10], 0.01, [1])
    assert (W.shape, b.shape) == ((1, 10, 784), (1, 10))
    assert W.std().item() == pytest.approx(0.01, rel=0.05)
    assert b.tolist() == [[0.0] * 10]
    first, second = first_layers([784, 520, 10], None, [1])
    assert first[0].abs().max().item() == pytest.approx(784**-0.5, rel=0.01)
    assert second[1].abs().max().item() <= 520**-0.5
    [(both, _)] = first_layers([784, 10], 0.01, [1, 2])
    assert torch.equal(both[:1], W)
    assert not torch.equal(both[1:], W)


def test_every_epoch_and_seed_has_its_own_order():
    orders = [order(1000, seed, epoch) for seed, epoch in [(0, 1), (0, 2), (1, 1)]]
    for one in orders:
        assert sorted(one.tolist()) == list(range(1000))
    assert len({tuple(one.tolist()) for one in orders}) == 3
    assert order(1000, 0, 1).tolist() == orders[0].tolist()
