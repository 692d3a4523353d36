import numpy as np
import pytest
import torch

from samebits import exact
from samebits.base.errors import UserError
from samebits.base.params import load
from samebits.outcome.reader import read_dataset
from samebits.report import proof
from tests.conftest import ROOT
from tests.made.trained import digits


@pytest.fixture(scope="module")
def datasets():
    """The digits, really trained."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(digits())
        return [read_dataset("digits", load())]


def test_float32_has_many_results_and_exact_arithmetic_one(datasets):
    loss, gradient = proof.spreads(datasets)
    assert (loss.terms, loss.numbers) == (len(datasets[0].runs[0].predictions), 1)
    assert (gradient.terms, gradient.numbers) == (20, 10 * 64)
    for spread in (loss, gradient):
        assert len(spread.float32) == len(spread.exact) == len(proof.names())
        assert len(set(spread.float32)) > 10
        assert len(set(spread.exact)) == 1
        assert spread.largest > 0


def test_an_order_that_matters_is_noticed():
    terms = torch.tensor([1.0, 2.0**-53, 2.0**-53, -1.0, 0.1, 0.7], dtype=torch.float64)
    rounded = proof._spread(
        "x",
        "a rounded sum",
        terms.float().numpy(),
        lambda order: torch.tensor(sum(terms[order.tolist()].tolist()), dtype=torch.float64),
    )
    assert len(set(rounded.exact)) > 1


def test_the_two_arithmetics_sum_the_same_terms(datasets):
    dataset = datasets[0]
    p = np.array(dataset.runs[0].predictions["probability"])
    assert proof.surprisals(dataset).exact[0] == exact.digest({"sum": exact.sum(-exact.log(torch.from_numpy(p)), 0)})
    taken = []

    def keep(dataset, what, terms, exactly):
        order = np.arange(len(terms))
        taken.append((float(np.abs(proof.in_turn(terms) - exactly(order).numpy()).max()), np.abs(terms).max()))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proof, "_spread", keep)
        proof.spreads(datasets)
    (loss, _), (gradient, largest) = taken
    assert loss < 0.01
    assert gradient < 1e-6 < largest


def test_terms_are_added_one_after_the_other():
    terms = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    total = np.float32(0)
    for term in terms:
        total = np.float32(total + term)
    assert proof.in_turn(terms) == total
    assert proof.in_turn(np.stack([terms, -terms], axis=1)).tolist() == [total, -total]


def test_orders_are_all_different():
    orders = [order.tolist() for order in proof.orders(20)]
    assert orders[0] == list(range(20)) == orders[1][::-1]
    assert all(sorted(order) == orders[0] for order in orders)
    assert len(set(map(tuple, orders))) == len(orders) == len(proof.names())


def test_the_frame_has_a_row_for_each_order(datasets):
    frame = proof.frame(proof.spreads(datasets))
    assert len(frame) == 2 * len(proof.names())
    assert frame["exact"].nunique() == 2


LOCK = """alpha==1.0 \\
    --hash=sha256:00
{}
    # via x
numpy==2.4.6 ; python_full_version < '3.12' \\
    --hash=sha256:00
numpy==2.5.5 ; python_full_version >= '3.12' \\
    --hash=sha256:00
torch-extra==7.0
safetensors==0.8.0
matplotlib==3.11.2
dvc==3.67.1
"""


def test_versions_are_those_pinned():
    found = proof.pins(LOCK.format("torch==2.15.0+cpu \\"))
    assert [(pin.name, pin.version, pin.condition) for pin in found] == [
        ("torch", "2.15.0+cpu", ""),
        ("numpy", "2.4.6", "python_full_version < '3.12'"),
        ("numpy", "2.5.5", "python_full_version >= '3.12'"),
        ("safetensors", "0.8.0", ""),
        ("matplotlib", "3.11.2", ""),
        ("dvc", "3.67.1", ""),
    ]


def test_a_package_that_is_not_pinned_is_named():
    with pytest.raises(UserError, match=r"^requirements.lock pins no torch: `make lock`"):
        proof.pins(LOCK.format("torchvision==1"))


def test_the_projects_lock_pins_them_all():
    found = proof.pins((ROOT / "requirements.lock").read_text(encoding="utf-8"))
    assert {pin.name for pin in found} == set(proof.PACKAGES)
