"""What decides where a seed ends, as a hash: by this key it is kept, and found again on any machine."""

import functools
import hashlib
import json
from typing import Any

from torch import Tensor

from samebits import exact
from samebits.base import source
from samebits.learning.arithmetic import VERSIONS
from samebits.learning.course import Course

# Of all that a course imports these decide bits; the others read parameters and files whose content is in the key.
DECIDES = ("samebits/exact/", "samebits/learning/", "samebits/datasets/")


NAMES = ("code", "build", "arithmetic", "parameters", "widths", "layers", "data")


def about(course: Course) -> dict[str, Any]:
    """Return all that decides where the seeds of a course end, but for the seed: it may be written as JSON."""
    return {
        "code": code(course.build.__module__),
        "build": f"{course.build.__module__}:{course.build.__qualname__}",
        "arithmetic": VERSIONS[course.arithmetic],
        "parameters": course.block.model_dump(exclude={"seeds"}),
        "widths": course.widths,
        "layers": course.layers,
        "data": exact.digest(arrays(course)),
    }


def arrays(course: Course) -> dict[str, Tensor]:
    """Return the arrays of a course's splits, each by SPLIT.PART."""
    return {f"{name}.{part}": x for name, split in course.splits.items() for part, x in vars(split).items()}


def key(decides: dict[str, Any], seed: int, epoch: int | None = None) -> str:
    """Return the key of a seed, or of where it stood after an epoch, 64 hexadecimal digits."""
    which = {"seed": seed} if epoch is None else {"seed": seed, "epoch": epoch}
    return hashlib.sha256(json.dumps({**decides, **which}, sort_keys=True).encode()).hexdigest()


@functools.cache
def code(module: str) -> str:
    """Return a hash of the code by which a learner that `module` builds is trained."""
    files = {file for name in (module, "samebits.learning.course") for file in source.files(name)}
    names = {file.relative_to(source.ROOT).as_posix(): file for file in files}
    sha = hashlib.sha256()
    for name in sorted(name for name in names if name.startswith(DECIDES)):
        sha.update(f"{name} {hashlib.sha256(names[name].read_bytes()).hexdigest()}\n".encode())
    return sha.hexdigest()
