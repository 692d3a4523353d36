"""The store of seeds: what each ends in, and while it trains where it stands, under a hash of all that decides it.

An entry proves that it is whole, not who made it: whoever can write to the store can put wrong weights there under a
right key. So nothing that proves a claim reads it (verify, machines, claims, `store --check`).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from operator import methodcaller
from typing import Any, TypeVar

from samebits.base.address import discreet, shown
from samebits.base.errors import reason
from samebits.base.patience import within
from samebits.learning.course import Standing
from samebits.seeds import place
from samebits.seeds.codec import DamagedError, decode, encode
from samebits.seeds.key import key

PATIENCE = 10.0  # seconds that one entry may take to be read or written

T = TypeVar("T")


class Store:
    """The entries of one course. Where the store cannot be used one warning says so, and training does without.

    Raises UserError for a SEED_STORE_KEEP that means nothing.
    """

    def __init__(self, decides: Mapping[str, Any], name: str, epochs: int) -> None:
        self.decides, self.name, self.epochs = dict(decides), name, epochs
        self.place: place.Place | None = None
        self.all = place.keeps_all()
        try:
            self.place = within(PATIENCE, place.place)
        except Exception as error:  # of whatever library stands behind the address
            self._do_without(error)

    def standing(self, seed: int) -> Standing:
        """Return where a seed stands, which is at its beginning if nothing is known of it."""
        at = key(self.decides, seed)
        data = self._tried(methodcaller("read", at))
        if data is None:
            return Standing(seed)
        try:
            return fitting(data, seed, self.decides, self.epochs)
        except DamagedError as error:
            print(f"note: seed store: what it had of {self.name} seed {seed} is thrown away: {error}", flush=True)
            self._tried(methodcaller("remove", at))
            return Standing(seed)

    def passed(self, seed: int, epoch: int) -> Standing | None:
        """Return where a seed stood after an epoch, if that was kept."""
        data = self._tried(methodcaller("read", key(self.decides, seed, epoch)))
        try:
            found = fitting(data or b"", seed, self.decides, self.epochs)
        except DamagedError:
            return None
        return found if found.epoch == epoch else None

    def keep(self, standings: Sequence[Standing]) -> None:
        """Write where seeds stand; under a key of the epoch, too, if all of them are wanted."""
        for each in standings:
            if self.place:
                data = encode([each], {**self.decides, "name": self.name})
                self._tried(methodcaller("write", key(self.decides, each.seed), data))
                if self.all and each.epoch < self.epochs:
                    self._tried(methodcaller("write", key(self.decides, each.seed, each.epoch), data))

    def _tried(self, do: Callable[[place.Place], T]) -> T | None:
        """Do something with what is there to keep seeds; nothing, if there is nothing any more."""
        if (there := self.place) is None:
            return None
        try:
            return within(PATIENCE, lambda: do(there))
        except Exception as error:  # of whatever library stands behind the address
            self._do_without(error)
            return None

    def _do_without(self, error: Exception) -> None:
        """Warn, once, and go on without a store."""
        self.place = None
        why = f"{shown(place.named())} cannot be used ({said(error)})"
        print(f"warning: SEED_STORE: {why}: training goes on, but nothing of it is kept", flush=True)


def fitting(data: bytes, seed: int, decides: Mapping[str, Any], epochs: int) -> Standing:
    """Return where `seed` stands by the bytes of its entry. Raises DamagedError if they are another's, or nobody's."""
    standings, about = decode(data)
    if [each.seed for each in standings] != [seed] or about != {**about, **decides}:
        raise DamagedError("it is another seed's")
    [standing] = standings
    if [row.get("epoch") for row in standing.rows] != list(range(1, standing.epoch + 1)) or standing.epoch > epochs:
        raise DamagedError("it has other epochs")
    if len(standing.chain) != standing.epoch:
        raise DamagedError("its chain has other epochs")
    return standing


def said(error: Exception) -> str:
    """Say what is wrong with the store, in a few words and without what addresses hold of passwords."""
    if isinstance(error, TimeoutError):
        return f"it does not answer within {PATIENCE:.0f} s"
    text = reason(error) if isinstance(error, OSError) else str(error) or type(error).__name__
    return re.sub(r"//[^/\s@]*@", "//", " ".join(discreet(text).split()))[:200]
