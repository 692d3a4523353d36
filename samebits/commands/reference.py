"""Write the reference that the gate compares with, by hand alone, after a change that is meant."""

from contextlib import ExitStack, chdir, nullcontext
from pathlib import Path

from samebits.base import paths
from samebits.base.command_line import Datasets, Repro
from samebits.base.files import json_text, whole
from samebits.base.params import load
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
        records = [measured(dataset, run, params) for dataset in asked for run in params.runs]
    with ExitStack() as renamed_at_the_end:
        for here in records:
            path = paths.reference(here.dataset, here.run)
            seeds = f"{len(here.seeds)} seed{'s' if len(here.seeds) > 1 else ''}"
            if same_already(path, here):
                print(f"{path}: the same already ({seeds})")
            else:
                record = here.model_copy(update={"provenance": made}).model_dump()
                renamed_at_the_end.enter_context(whole(path)).write_bytes(json_text(record).encode())
                print(f"{path}: written ({seeds})")
