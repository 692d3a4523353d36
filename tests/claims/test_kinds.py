"""The same bits on other kinds of processor, for real: this machine, emulated x86-64 ones, and 64-bit Arm (minutes).

-s shows the table. A kind that cannot be run here is skipped, and the reason said.
"""

from dataclasses import dataclass

import pytest

from samebits.base.errors import UserError
from samebits.claims import ledger
from samebits.claims.machines import compare, kinds
from samebits.claims.machines.kinds import Witness, ask_all


@dataclass
class Answers:
    """What the kinds computed, and why others could not be asked."""

    witnesses: list[Witness]
    missing: dict[str, str]

    def of(self, name: str) -> Witness:
        """One kind's; skips the test if there is none."""
        if name in self.missing:
            pytest.skip(self.missing[name])
        return next(witness for witness in self.witnesses if witness.kind == name)


@pytest.fixture(scope="module")
def answers() -> Answers:
    chosen, missing = [], {}
    for name in kinds.ALL:
        try:
            chosen.append(kinds.find(name))
        except UserError as error:
            missing[name] = str(error)
    witnesses, failures = ask_all(chosen)
    assert failures == []
    print(compare.table(witnesses))
    return Answers(witnesses, missing)


@pytest.mark.parametrize("name", kinds.ALL)
def test_a_kind_computes_the_committed_bits_and_this_machines(name: str, answers: Answers) -> None:
    witness, here = answers.of(name), answers.of(kinds.HERE)
    assert compare.faults([witness]) == []
    assert witness.exact == here.exact
    assert compare.without_report(witness) == ledger.WITNESS["machine-witness"]
    assert {*witness.machine, "results", "outcome", "code", "seconds"} == {*ledger.COLUMNS}


def test_every_part_is_there(answers: Answers) -> None:
    names = [part.split("/")[0] for part in answers.of(kinds.HERE).exact]
    assert [names.count(folder) for folder in ("models", "metrics", "predictions", "reports")] == [15, 18, 5, 72]


def test_float32_splits(answers: Answers) -> None:
    if len(answers.witnesses) < 2:
        pytest.skip(f"one kind of machine alone: {'; '.join(answers.missing.values())}")
    assert compare.faults(answers.witnesses) == []
    assert len({witness.float32 for witness in answers.witnesses}) > 1
