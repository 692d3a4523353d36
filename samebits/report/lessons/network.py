"""The network of notes B: its average loss, and its state dict."""

import math
from itertools import pairwise
from statistics import fmean

import pandas as pd
import torch

from samebits.learning.concise import network
from samebits.outcome.finished import Dataset
from samebits.report.lessons.beside import OPS, shape_of
from samebits.report.lessons.untrained import widths


def average_loss(datasets: list[Dataset]) -> pd.DataFrame:
    """Columns dataset, run, images, batch, mean (test loss at the end, over the seeds), and notes: as B divides it.

    B sums the means of the minibatches and divides by the images: the mean, times minibatches, divided by images.
    """
    rows = []
    for dataset in datasets:
        for run in [run for run in dataset.standard if run.block.hidden]:
            images, batch = dataset.summary["splits"]["test"]["images"], run.training.batch_size
            last = run.history[run.history["epoch"] == run.training.epochs]
            mean = fmean(last["test_loss"].tolist())
            rows.append([dataset.name, run.name, images, batch, mean, mean * math.ceil(images / batch) / images])
    return pd.DataFrame(rows, columns=["dataset", "run", "images", "batch", "mean", "notes"])


def state_dict(datasets: list[Dataset]) -> pd.DataFrame:
    """Columns name, shape, numbers: the state dict of the first dataset's widest run."""
    run = max(datasets[0].standard, key=lambda run: len(run.block.hidden))
    layers = [(torch.zeros(out, into), torch.zeros(out)) for into, out in pairwise(widths(datasets[0], run))]
    state = network(OPS, layers).state_dict()
    rows = [(name, shape_of(weight.shape), weight.numel()) for name, weight in state.items()]
    return pd.DataFrame(rows, columns=["name", "shape", "numbers"])
