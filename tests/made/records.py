"""Records of runs that never ran: every quantity drawn with the spread that softmax regression has over its seeds."""

import hashlib

import numpy as np

from samebits.gate.records import QUANTITIES, Record, Values

# mean and standard deviation over seeds, measured on Fashion-MNIST: scratch, ten epochs
SPREAD = {
    "test_accuracy": (0.83, 0.0065),
    "test_loss": (0.487, 0.0129),
    "first_train_loss": (0.786, 0.0013),
    "last_train_loss": (0.4475, 0.0006),
}


def record(seeds, draw, dataset="digits", run="scratch", **changes):
    """A record whose values are mean + sd * draw, with `draw` an array [quantity, seed]; `changes` add to a mean."""
    assert set(changes) <= set(SPREAD)
    values = {
        key: [mean + sd * float(z) + changes.get(key, 0.0) for z in row]
        for (key, (mean, sd)), row in zip(SPREAD.items(), draw, strict=True)
    }
    return Record(
        dataset=dataset,
        run=run,
        parameters={"scratch.lr": 0.1},
        data_digest="d" * 64,
        test_images=10_000,
        model_sha256=hashlib.sha256(repr(values).encode()).hexdigest(),
        seeds=list(seeds),
        values=Values(**values),
    )


def draws(n, seed=0):
    """Standard normal draws [quantity, n]."""
    return np.random.default_rng(seed).standard_normal((len(QUANTITIES), n))
