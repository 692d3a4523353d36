"""What a part of the torture counted, as a row of the table at its end."""

from dataclasses import dataclass, field


@dataclass
class Figures:
    """Tries, those that ended as they should, what was measured on the way, and what went wrong."""

    name: str
    tries: int = 0
    good: int = 0
    measured: str = ""
    wrong: list[str] = field(default_factory=list)

    def count(self, fault: str) -> None:
        """Count a try; `fault` says what was wrong with it, if anything."""
        self.tries += 1
        self.good += not fault
        if fault:
            self.wrong.append(fault)
            print(f"WRONG {self.name}: {fault}", flush=True)


def table(rows: list[Figures]) -> str:
    """Return the rows one below the other, and what went wrong below them."""
    width = max(len(row.name) for row in rows)
    lines = [f"{row.name:{width}}  {row.good:>5} of {row.tries:<5}  {row.measured}" for row in rows]
    return "\n".join([*lines, *(f"{row.name}: {fault}" for row in rows for fault in row.wrong)])
