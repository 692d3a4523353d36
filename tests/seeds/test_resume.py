"""A seed that goes on from where it stood ends in the same bits, whoever trained it until then."""

import pytest
import torch

from samebits import exact
from samebits.exact.integers import passes
from samebits.learning import fused, scratch
from samebits.learning.arithmetic import arithmetic
from samebits.learning.concise import Concise, network
from samebits.learning.course import Course, Standing
from samebits.seeds import work
from samebits.seeds.codec import decode, encode
from samebits.seeds.key import about
from tests.learning.test_training import BLOCK, SPLITS

CPU = torch.device("cpu")
BLOCKS = {
    "softmax": BLOCK.model_copy(update={"epochs": 4, "seeds": [3, 5]}),
    "still": BLOCK.model_copy(update={"epochs": 4, "seeds": [3, 5], "momentum": 0.0}),
    "network": BLOCK.model_copy(update={"epochs": 4, "seeds": [3, 5], "hidden": [9], "init_std": None}),
}


def concise(ops, layers, block):
    return Concise(ops, network(ops, layers), block.lr, block.momentum)


BUILDS = {"scratch": scratch.build, "concise": concise, "quickest": fused.build}


def course(kind="network", build=fused.build, name="exact", seeds=None):
    block = BLOCKS[kind] if seeds is None else BLOCKS[kind].model_copy(update={"seeds": seeds})
    return Course("x mlp", name, block, build, SPLITS, [36, *block.hidden, 10], CPU)


def ends(it, started=None):
    """Where each seed ends, in bits."""
    found: dict[int, object] = {}
    for group in it.groups(started or [Standing(seed) for seed in it.block.seeds]):
        *_, reached = it.follow(group)
        found |= {each.seed: bits(each) for each in reached.standings()}
    return found


def bits(standing):
    carried = {name: x.numpy().tobytes() for name, x in standing.carried.items()}
    return standing.epoch, standing.rows, standing.chain, carried


@pytest.mark.parametrize("epoch", [1, 2, 3])
@pytest.mark.parametrize("name", ["exact", "wide"])
@pytest.mark.parametrize(
    ("kind", "way"), [("softmax", "scratch"), ("still", "scratch"), ("softmax", "concise"), ("still", "concise"),
                      ("network", "concise"), ("network", "quickest"), ("still", "quickest")]
)  # fmt: skip
def test_what_is_carried_is_all_that_is_needed(kind, way, name, epoch):
    it = course(kind, BUILDS[way], name)
    *_, reached = it.follow([Standing(seed) for seed in it.block.seeds], epoch)
    assert [each.epoch for each in reached.standings()] == [epoch, epoch]
    kept, _ = decode(encode(reached.standings(), {}))
    assert ends(it, kept) == ends(it)


@pytest.mark.parametrize("kind", ["still", "network"])
def test_one_learner_goes_on_where_another_stood(kind):
    """Compiled or by modules: a store knows of no such thing."""
    if exact.prepare() is not None or not passes.compiled(CPU):
        pytest.skip("numba is not here")
    ways = {name: course(kind, build) for name, build in BUILDS.items() if name != "scratch"}
    assert isinstance(fused.build(arithmetic("exact"), *started(ways["quickest"])), fused.Fused)
    for first in ways.values():
        *_, reached = first.follow([Standing(3), Standing(5)], 2)
        for second in ways.values():
            assert ends(second, reached.standings()) == ends(first)


def started(it):
    from samebits.learning.initial import first_layers

    return first_layers(it.widths, it.block.init_std, it.block.seeds), it.block


def test_what_is_kept_of_the_end_is_the_model_alone():
    [(_, _, _, carried), _] = ends(course()).values()
    assert not [name for name in carried if name.startswith("velocity")]


def test_seeds_that_stand_elsewhere_are_not_side_by_side():
    it = course(seeds=[1, 2, 3, 4, 5])
    standings = [Standing(1, 2), Standing(2), Standing(3, 2), Standing(4), Standing(5)]
    assert [[each.seed for each in group] for group in it.groups(standings, 2)] == [[2, 4], [5], [1, 3]]


def test_a_task_is_the_same_training_from_bytes_to_bytes():
    it, carried = course(), [Standing(3), Standing(5)]
    for epochs in (1, 2, 5):
        asked = work.task(it, about(it), carried, epochs)
        carried, told = decode(work.work(work.packed(it), asked))
        assert told["seconds"] > 0
    assert {each.seed: bits(each) for each in carried} == ends(it)


def test_a_worker_refuses_other_code_and_other_builders():
    it = course()
    for change, said in [({"code": "0" * 64}, "has other code"), ({"build": "os:system"}, "learners are built in")]:
        asked = work.task(it, {**about(it), **change}, [Standing(3)], 1)
        assert said in decode(work.work(work.packed(it), asked))[1]["error"]


def test_a_loss_that_overflows_is_told_as_here():
    it = course()
    wild = Course(it.name, "exact", it.block.model_copy(update={"lr": 1e30}), it.build, SPLITS, it.widths, CPU)
    [told] = [decode(work.work(work.packed(wild), work.task(wild, about(wild), [Standing(5)], 4)))[1]]
    assert "x mlp seed 5, epoch 1" in told["error"]
