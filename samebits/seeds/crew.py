"""Groups of seeds given to workers, a few epochs at a time, so that a worker that is lost costs no more than those."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import Any, Protocol

from tqdm import tqdm

from samebits.base.errors import UserError
from samebits.learning.course import Course, Standing
from samebits.seeds import work
from samebits.seeds.codec import decode

MOST, TRIES = 16, 5  # seeds side by side; times that a group may lose its worker


class LostError(Exception):
    """A worker that ended, or went away, before it answered."""


class Crew(Protocol):
    """Workers: whoever takes a task and some day has the answer.

    `long` is how many seconds a seed's part of a task takes at least, or an epoch: what moves between two of them then
    costs little, and what is lost with a worker is not much more.
    """

    long: float

    def open(self, data: bytes) -> None:
        """Be ready for tasks on these arrays. Raises UserError."""

    def room(self) -> int:
        """Return how many tasks should be on their way. Raises UserError if there are no workers any more."""

    def submit(self, task: bytes) -> "Future[bytes]":
        """Have a task done; its future raises LostError if whoever did it was lost."""

    def notes(self) -> Iterator[str]:
        """Say what happened to workers since it was last asked."""

    def close(self) -> None:
        """Need no more."""


@dataclass
class Part:
    """Seeds that go on together, and how many workers they have lost."""

    group: list[Standing]
    losses: int = 0


def share(
    crew: Crew, course: Course, decides: Mapping[str, Any], seeds: Sequence[Standing]
) -> Iterator[list[Standing]]:
    """Have workers take all seeds to the end of the course; give where each group stands as often as that is told.

    Raises UserError as a Course does, where workers cannot be had, and where a group loses one worker after the other.
    """
    if not seeds:
        return
    crew.open(work.packed(course))
    try:
        waiting = deque(Part(group) for group in course.groups(seeds, min(MOST, -(-len(seeds) // crew.room()))))
        pending: dict[Future[bytes], Part] = {}
        epochs = 1  # of a task; more, once it is known how long one takes
        while waiting or pending:
            while waiting and len(pending) < crew.room():
                part = waiting.popleft()
                pending[crew.submit(work.task(course, decides, part.group, epochs))] = part
            done, _ = wait(pending, timeout=1.0, return_when=FIRST_COMPLETED)
            say(crew.notes())
            for future in done:
                part = pending.pop(future)
                try:
                    standings, told = decode(future.result())
                except LostError as lost:
                    waiting.appendleft(again(part, lost, course.name))
                    continue
                if "error" in told:
                    raise UserError(told["error"])
                yield standings
                epochs = max(1, int(crew.long / told["seconds"]))
                if standings[0].epoch < course.block.epochs:
                    waiting.appendleft(Part(standings))
    finally:
        crew.close()


def again(part: Part, lost: LostError, name: str) -> Part:
    """Say that a worker was lost, and return what is to be done again. Raises UserError if that was one too many."""
    which = f"seeds {', '.join(str(each.seed) for each in part.group)}"
    if part.losses == TRIES:
        raise UserError(f"{name}: one worker after the other was lost with {which}: {lost}") from None
    say([f"{lost}: {which} go on from epoch {part.group[0].epoch} elsewhere"])
    return Part(part.group, part.losses + 1)


def say(lines: Iterator[str] | list[str]) -> None:
    """Print lines above the bar."""
    for line in lines:
        tqdm.write(f"note: {line}")
