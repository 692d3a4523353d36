"""Looking into the store: what is in it, whether it is what this code makes of these data, what nobody needs."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch

from samebits.base import paths
from samebits.base.address import shown
from samebits.base.errors import UserError
from samebits.learning import device
from samebits.learning.arithmetic import VERSIONS, Name
from samebits.learning.course import Course, Standing
from samebits.learning.run import splits_of
from samebits.seeds import key, place, work
from samebits.seeds.codec import DamagedError, decode
from samebits.seeds.store import said
from samebits.seeds.training import here


@dataclass(frozen=True)
class Entry:
    """An entry of the store: where one seed of a course stands; None if it is damaged."""

    key: str
    size: int
    standing: Standing | None
    about: dict[str, Any]

    @property
    def passed(self) -> bool:
        """Whether it is where a seed stood after one of its epochs, kept for good."""
        decides = {name: self.about[name] for name in key.NAMES} if self.standing else {}
        return self.standing is not None and self.key == key.key(decides, self.standing.seed, self.standing.epoch)

    @property
    def ended(self) -> bool:
        """Whether its seed has ended."""
        return self.standing is not None and self.standing.epoch == self.about["parameters"]["epochs"]

    @property
    def current(self) -> bool:
        """Whether this code would make use of it."""
        module = self.about.get("build", "").partition(":")[0]
        return module.startswith(work.ROOM) and bool(self.about["code"] == key.code(module))


def opened() -> place.Place:
    """Return the store. Raises UserError if there is none, or it cannot be used."""
    try:
        found = place.place()
    except Exception as error:  # of whatever library stands behind the address
        raise unusable(error) from None
    if found is None:
        raise UserError("SEED_STORE is off: there is no store to look into")
    return found


def unusable(error: Exception) -> UserError:
    """Return what to say of a store that cannot be used."""
    return UserError(f"SEED_STORE: {shown(place.named())} cannot be used ({said(error)})")


def entries(store: place.Place) -> Iterator[Entry]:
    """Read all entries. Raises UserError if the store cannot be used."""
    try:
        for found in store.entries():
            yield _entry(found, store.read(found.key) or b"")
    except UserError:
        raise
    except Exception as error:
        raise unusable(error) from None


def _entry(found: place.Found, data: bytes) -> Entry:
    try:
        [standing], about = decode(data)
        decides = {name: about[name] for name in key.NAMES}
        if found.key in (key.key(decides, standing.seed), key.key(decides, standing.seed, standing.epoch)):
            return Entry(found.key, found.size, standing, about)
    except (DamagedError, KeyError, TypeError, ValueError):
        pass
    return Entry(found.key, found.size, None, {})


def sample(found: list[Entry], count: int) -> list[Entry]:
    """Return so many entries, drawn by lot from those that have ended and are of this code."""
    can = [entry for entry in found if entry.ended and entry.current]
    return random.sample(can, min(count, len(can)))


def comes_out_again(entry: Entry) -> bool | None:
    """Train the seed of an entry anew, without the store; None if its data are not here."""
    course = _course(entry)
    if course is None or entry.standing is None:
        return None
    [*_, last] = here(course, None, [Standing(entry.standing.seed)])
    [end], kept = last, entry.standing
    same = [torch.equal(_bits(kept.carried[name]), _bits(tensor)) for name, tensor in end.carried.items()]
    return kept.carried.keys() == end.carried.keys() and all(same) and (kept.rows, kept.chain) == (end.rows, end.chain)


def _bits(x: torch.Tensor) -> torch.Tensor:
    return x.contiguous().view(torch.uint8)


def _course(entry: Entry) -> Course | None:
    """The course of an entry on the data that are here; None where those are others."""
    assert entry.standing
    about, dataset = entry.about, entry.about["name"].partition(" ")[0]
    where, names = device.chosen(), {version: name for name, version in VERSIONS.items()}
    try:
        splits = splits_of(paths.processed(dataset), where)
    except UserError:
        return None
    block = {"seeds": [entry.standing.seed], **about["parameters"]}
    build, name = work.builder(about["build"]), cast(Name, names[about["arithmetic"]])
    course = work.course_of(about, about["name"], name, block, build, splits, where)
    return course if key.about(course)["data"] == about["data"] else None
