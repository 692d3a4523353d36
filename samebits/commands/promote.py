"""The best published run of each dataset becomes its champion in MLflow's model registry."""

from samebits.base import params, paths
from samebits.base.command_line import Datasets
from samebits.datasets import catalog
from samebits.tracking.address import address, is_new
from samebits.tracking.promoting import best, card, lost, nothing
from samebits.tracking.registry import register
from samebits.tracking.store import MODEL, connect

ALIAS = "champion"


def main(
    datasets: Datasets = None,
) -> None:
    """Register the best published run of each dataset and make it the champion."""
    known = catalog.load(paths.CATALOG)
    entries = {dataset: known.entry(dataset) for dataset in datasets or params.load().datasets}
    if is_new(address()):
        raise nothing(next(iter(entries)))
    with connect() as store:
        for dataset, entry in entries.items():
            chosen, by = best(dataset, store.finished(dataset))
            if not store.has_model(chosen.tags[MODEL]):
                raise lost(dataset, chosen)
            name = f"samebits-{dataset}"
            version = register(store, name, chosen, card(entry, chosen, by), ALIAS)
            figure = f"{by.replace('_', ' ')} {chosen.metrics[by]:.4f}, the mean of {chosen.tags['seeds']} seeds"
            print(f"models:/{name}@{ALIAS} is version {version}: {chosen.tags['run']}, {figure}", flush=True)
