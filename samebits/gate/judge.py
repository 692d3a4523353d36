"""Every run held against its reference."""

from samebits.base.errors import UserError
from samebits.base.params import Params
from samebits.gate.records import Record, other_parameters, parameters
from samebits.gate.references import measured, recorded
from samebits.gate.verdicts import Result, compare


def judge(datasets: list[str], params: Params, alpha: float) -> Result:
    """Compare what is comparable of every run, and gather what is not, each with its reason."""
    pairs, refusals = [], []
    for dataset in datasets:
        for run in params.runs:
            pair, refused = read(dataset, run, params)
            refusals += [f"{dataset} {run}: {reason}" for reason in refused]
            if pair and not refused:
                pairs.append(pair)
    return Result(compare(pairs, alpha), refusals, alpha)


def without_reference(datasets: list[str], params: Params) -> list[str]:
    """Return why, for each run that has no reference to be held against: what is known before anything is trained."""
    reasons = []
    for dataset in datasets:
        for run in params.runs:
            try:
                recorded(dataset, run)
            except UserError as error:
                reasons.append(f"{dataset} {run}: {error}")
    return reasons


def read(dataset: str, run: str, params: Params) -> tuple[tuple[Record, Record] | None, list[str]]:
    """Return the reference and the run as it is here, if both can be read, and every reason not to compare them."""
    try:
        reference = recorded(dataset, run)
    except UserError as error:
        return None, [str(error)]
    refused = other_parameters(reference.parameters, parameters(params, run))
    try:
        here = measured(dataset, run, params)
    except UserError as error:
        return None, [*refused, str(error)]
    if reference.data_digest != here.data_digest:
        refused.append(f"the data's digest is {reference.data_digest} in the reference, {here.data_digest} here")
    return (reference, here), refused
