"""Compiled passes, for whoever has more to train than compiling costs."""

from functools import cache

import torch

from . import passes
from .interrupts import held


def prepare(device: torch.device | str = "cpu") -> str | None:
    """Have training on a device go through compiled kernels from now on: several times as fast, to the same bits.

    On a CPU numba compiles them: some ten seconds, once, then half a second from its cache on disk. They are tried
    against the plain operations first, bit for bit. On a CUDA device torch compiles the steps that are captured, half
    a minute for each network; the first steps of each are tried likewise.

    Args:
        device: where it is to be computed.

    Returns:
        None, or in a few words why training goes on without them.

    Example:
        >>> exact.prepare() is None
        True
    """
    where = torch.device(device).type
    if where == "cpu":
        return _numba()
    if where != "cuda":
        return f"there are compiled kernels for cpu and cuda, not for {where}"
    if not torch.cuda.is_available():
        return "there is no CUDA device here"
    from .captured import compile_steps  # here, for most have no GPU

    compile_steps()
    return None


@cache
def _numba() -> str | None:
    try:
        from . import fast
        from .trial import differs  # here, for numba may be missing, and takes time to import

        # whatever surrounds the call
        with torch.inference_mode(False), torch.enable_grad(), torch.device("cpu"), held():
            what = differs()
        if what is None:
            passes.use(fast)
        return what
    except ImportError as error:
        return f"numba cannot be used here ({error})"
    except Exception as error:  # whatever a broken installation or cache raises
        return f"numba does not work here ({type(error).__name__}: {error})"
