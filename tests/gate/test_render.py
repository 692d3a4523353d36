from xml.etree import ElementTree

from samebits.gate import render
from samebits.gate.verdicts import Result, compare
from tests.made.records import draws, record

REFUSAL = "digits mlp: it is <nothing> | but | pipes & signs"


def result(**changes):
    z = draws(5)
    return Result(compare([(record(range(5), z), record(range(5), z, **changes))], 0.05), [REFUSAL], 0.05)


def test_what_is_refused_cannot_break_the_markdown_or_the_xml():
    found = result(test_loss=0.1)
    assert "it is &lt;nothing> \\| but \\| pipes" in render.markdown(found)
    suite = ElementTree.fromstring(render.junit(found))
    error = suite.find("testcase/error")
    assert error is not None
    assert error.get("message") == REFUSAL


def test_the_columns_of_the_terminal_are_aligned():
    header, *rows = render.terminal(result(test_loss=0.1)).splitlines()[:5]
    assert {row[header.index("verdict") :].split("  ")[0] for row in rows} == {"worse", "no worse"}


def test_the_level_is_told_where_something_was_tested():
    assert "fails at 0.0063 or less, which makes 0.05 for all together" in render.terminal(result(test_loss=0.1))
    assert "fails at" not in render.terminal(result())


def test_nothing_compared_is_no_empty_table():
    nothing = Result([], [REFUSAL], 0.05)
    assert render.terminal(nothing) == "gate: FAILED: not comparable, for 1 reason"
    assert "|---" not in render.markdown(nothing)
