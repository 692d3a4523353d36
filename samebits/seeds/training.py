"""Seeds to their end: those that the store has are there already; the others are trained, here or by workers."""

import time
from collections.abc import Iterator, Sequence

from tqdm import tqdm

from samebits.learning.course import Course, Standing
from samebits.seeds import workers
from samebits.seeds.crew import Crew, share
from samebits.seeds.key import about
from samebits.seeds.store import Store

SHARE = 0.02  # of the time of training, at most, goes into writing where it stands


def trained(course: Course) -> list[Standing]:
    """Return where each seed of a course ends.

    Float32 has no store and no workers: what a seed ends in there depends on machine, threads and the seeds beside it,
    so that it is nobody else's. Raises UserError as a Course does, and where the workers that are wanted cannot be had.
    """
    crew, store = workers.wanted(), None
    if course.arithmetic != "float32":
        store = Store(about(course), course.name, course.block.epochs)
    elif crew:
        crew = None
        print("note: WORKERS is not for arithmetic float32, whose results would depend on it", flush=True)
    started = [store.standing(seed) if store else Standing(seed) for seed in course.block.seeds]
    ahead = [each for each in started if each.epoch < course.block.epochs]
    tell(course, started, len(ahead))
    way = among(crew, course, store, ahead) if crew and store else here(course, store, ahead)
    with Progress(course, started) as progress:
        for standings in way:
            progress.saw(standings)
    return [progress.ended[seed] for seed in course.block.seeds]


def here(course: Course, store: Store | None, ahead: Sequence[Standing]) -> Iterator[list[Standing]]:
    """Train seeds in this process, group by group; after each epoch give where its seeds stand.

    The store has it after each epoch, or each n-th where writing would take more than SHARE of the time and not all
    are wanted.
    """
    if ahead:
        course.prepare()
    started, writing = time.perf_counter(), 0.0
    for group in course.groups(ahead):
        for reached in course.follow(group):
            before = time.perf_counter()
            keep = store is not None and (store.all or writing <= SHARE * (before - started))
            standings = reached.standings() if keep or reached.ended else reached.seeds
            if store and (keep or reached.ended):
                store.keep(standings)
            writing += time.perf_counter() - before
            yield standings


def among(crew: Crew, course: Course, store: Store, ahead: Sequence[Standing]) -> Iterator[list[Standing]]:
    """Have workers train seeds; give where those stand that a worker has taken further. The store has it."""
    for standings in share(crew, course, store.decides, ahead):
        store.keep(standings)
        yield standings


def tell(course: Course, started: Sequence[Standing], left: int) -> None:
    """Say what the store has of a course, if it has anything."""
    begun = sum(0 < each.epoch < course.block.epochs for each in started)
    if left < len(started) or begun:
        some = f"; of {begun} of them it has some epochs" if begun else ""
        print(f"{course.name}: the seed store has {len(started) - left} of {len(started)} seeds, {left} to train{some}")


class Progress:
    """One bar for the epochs of all seeds; `ended` are those that have, by seed."""

    def __init__(self, course: Course, started: Sequence[Standing]) -> None:
        self.epochs = course.block.epochs
        self.at = {each.seed: each.epoch for each in started}
        self.ended = {each.seed: each for each in started if each.epoch == self.epochs}
        total = len(started) * self.epochs
        done = sum(self.at.values())
        self.bar = tqdm(total=total, initial=done, desc=course.name, unit="epoch", disable=done == total)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.close()

    def saw(self, standings: Sequence[Standing]) -> None:
        """Move the bar to where seeds stand now, and take those that have ended."""
        last = [each.rows[-1] for each in standings]
        loss, test = (sum(row[key] for row in last) / len(last) for key in ("train_loss", "test_accuracy"))
        self.bar.set_postfix(seeds=len(last), loss=f"{loss:.4f}", test=f"{test:.4f}", refresh=False)
        self.bar.update(sum(each.epoch - self.at[each.seed] for each in standings))
        self.at |= {each.seed: each.epoch for each in standings}
        self.ended |= {each.seed: each for each in standings if each.epoch == self.epochs}
