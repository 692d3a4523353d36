"""The gate's result as a table for a terminal, as Markdown for a pull request and as JUnit XML for CI."""

import math
from xml.etree import ElementTree

from samebits.base.markdown import plain
from samebits.gate.verdicts import Comparison, Result, Verdict

COLUMNS = ("dataset", "run", "quantity", "reference", "here", "change", "p", "would catch", "verdict", "by")
NUMBERS = slice(3, 8)  # the columns that are set to the right


def terminal(result: Result) -> str:
    """Return the table in columns, and a last line that says what follows."""
    rows = [COLUMNS, *(cells(comparison) for comparison in result.comparisons)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
    aligned = [str.rjust if i in range(*NUMBERS.indices(len(COLUMNS))) else str.ljust for i in range(len(COLUMNS))]
    lines = [
        "  ".join(align(cell, width) for align, cell, width in zip(aligned, row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([*(lines if result.comparisons else ()), *legend(result), summary(result)])


def markdown(result: Result) -> str:
    """Return a heading, the summary, whatever is not comparable, and the table."""
    header = "|".join(COLUMNS), "|".join("--:" if i in range(3, 8) else "---" for i in range(len(COLUMNS)))
    rows = ["|".join(map(plain, cells(comparison))) for comparison in result.comparisons]
    table = [f"|{row}|" for row in (*header, *rows)] if rows else []
    refusals = [f"- **not comparable**: {plain(refusal)}" for refusal in result.refusals]
    parts = ["## Gate", summary(result), "\n".join(refusals), "\n".join(table), *legend(result)]
    return "\n\n".join(part for part in parts if part) + "\n"


def junit(result: Result) -> str:
    """Return one test case for each cell, and one, an error, for each thing that is not comparable."""
    failed = [comparison for comparison in result.comparisons if not comparison.verdict.passes]
    counts = {
        "tests": str(len(result.comparisons) + len(result.refusals)),
        "failures": str(len(failed)),
        "errors": str(len(result.refusals)),
    }
    suite = ElementTree.Element("testsuite", {"name": "gate", **counts})
    for comparison in result.comparisons:
        place = f"gate.{comparison.dataset}.{comparison.run}"
        case = ElementTree.SubElement(suite, "testcase", classname=place, name=comparison.quantity)
        if comparison.verdict.passes:
            ElementTree.SubElement(case, "system-out").text = told(comparison)
        else:
            ElementTree.SubElement(case, "failure", message=told(comparison), type=comparison.verdict)
    for refusal in result.refusals:
        case = ElementTree.SubElement(suite, "testcase", classname="gate", name=f"comparable: {refusal}")
        ElementTree.SubElement(case, "error", message=refusal, type="not comparable")
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def summary(result: Result) -> str:
    """Say in one line what the gate concludes, naming every figure that fails it."""
    if not result.passes:
        failed = [comparison for comparison in result.comparisons if not comparison.verdict.passes]
        told_of = "; ".join(
            f"{verdict}: {', '.join(_name(c) for c in failed if c.verdict is verdict)}"
            for verdict in Verdict
            if any(c.verdict is verdict for c in failed)
        )
        refused = f"not comparable, for {_reasons(len(result.refusals))}" if result.refusals else ""
        return f"gate: FAILED: {'; '.join(part for part in (told_of, refused) if part)}"
    changed = dict.fromkeys((c.dataset, c.run) for c in result.comparisons if c.verdict is not Verdict.IDENTICAL)
    if not changed:
        return "gate: passed: identical, every figure has the bits of the reference"
    names, datasets = map(" ".join, changed), dict.fromkeys(dataset for dataset, _ in changed)
    make = f'`make reference DATASETS="{" ".join(datasets)}"`'
    return (
        f"gate: passed, with notice: changed but no worse: {', '.join(names)}; {make} takes the new figures, if meant"
    )


def legend(result: Result) -> list[str]:
    """Explain p and would catch, if they occur; the level is the same for every figure that was tested."""
    levels = [comparison.level for comparison in result.comparisons if comparison.level is not None]
    if not levels:
        return []
    return [
        f"p: of a change within the margin, one-sided; it fails at {levels[0]:.2g} or less, which makes "
        f"{result.alpha:g} for all together. would catch: the smallest worsening found 9 times out of 10."
    ]


def told(comparison: Comparison) -> str:
    """Say one comparison in a sentence."""
    cell = dict(zip(COLUMNS, cells(comparison), strict=True))
    tested = f", p = {cell['p']}, would catch {cell['would catch']}" if comparison.p is not None else ""
    return (
        f"{cell['verdict']}: {_name(comparison)} is {cell['here']}, in the reference {cell['reference']} "
        f"({cell['by']}{tested})"
    )


def cells(comparison: Comparison) -> tuple[str, ...]:
    """Return the row of a comparison, a text for each of COLUMNS."""
    return (
        comparison.dataset,
        comparison.run,
        comparison.quantity,
        f"{comparison.reference:.6f}",
        f"{comparison.here:.6f}",
        "0" if not comparison.change else f"{comparison.change:+.2g}",
        "" if comparison.p is None else f"{comparison.p:.2g}",
        "" if comparison.catches is None or math.isinf(comparison.catches) else f"{comparison.catches:.2g}",
        comparison.verdict,
        comparison.how,
    )


def _name(comparison: Comparison) -> str:
    return f"{comparison.dataset} {comparison.run} {comparison.quantity}"


def _reasons(n: int) -> str:
    return "1 reason" if n == 1 else f"{n} reasons"
