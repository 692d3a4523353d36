"""Write the reference that the gate compares with, by hand alone, after a change that is meant."""

from contextlib import chdir, nullcontext
from pathlib import Path

from samebits.base import paths
from samebits.base.command_line import Datasets, Repro
from samebits.base.files import write_json
from samebits.base.params import RUNS, load
from samebits.claims import copies
from samebits.gate.references import chosen, measured, provenance, same_already


def main(
    datasets: Datasets = None,
    repro: Repro = False,
) -> None:
    """Make what the pipeline left for every run the reference of later gates: all of it, or nothing."""
    asked = chosen(datasets, load())
    made = provenance()  # before the first file is written, which Git would see
    with copies.up_to_date(datasets) if repro else nullcontext(Path()) as project, chdir(project):
        params = load()
        records = [measured(dataset, run, params) for dataset in asked for run in RUNS]
    for here in records:
        path = paths.reference(here.dataset, here.run)
        seeds = f"{len(here.seeds)} seed{'s' if len(here.seeds) > 1 else ''}"
        if same_already(path, here):
            print(f"{path}: the same already ({seeds})")
        else:
            write_json(path, here.model_copy(update={"provenance": made}).model_dump())
            print(f"{path}: written ({seeds})")
