"""What the optimizers have in common: parameter groups and state, under torch.optim's names."""

from collections.abc import Callable, Iterable
from functools import lru_cache
from inspect import unwrap
from typing import Any, ClassVar

import torch
from torch import Tensor

from .operands import REAL, require_tensor, size

Group = dict[str, Any]
Gradients = list[tuple[int, Tensor, Tensor]]  # a parameter's number, itself, its gradient

# Torch wraps these to keep its compiler out, and imports the compiler to do so: a second or two of every process.
_add_param_group: Any = unwrap(torch.optim.Optimizer.add_param_group)
_load_state_dict: Any = unwrap(torch.optim.Optimizer.load_state_dict)
_state_dict: Any = unwrap(torch.optim.Optimizer.state_dict)
_zero_grad: Any = unwrap(torch.optim.Optimizer.zero_grad)


class Optimizer(torch.optim.Optimizer):
    """A torch.optim.Optimizer, so that torch's schedules take it, whose every update is a sequence of roundings.

    A subclass says what its rates may be, in `_require_rates`, and how parameters learn, in `_update`.
    """

    buffers: ClassVar[tuple[str, ...]] = ()  # the names in a parameter's state of what is shaped like the parameter

    def __init__(self, params: Any, defaults: Group) -> None:
        if isinstance(params, Tensor):
            raise TypeError("params is a tensor, but must be a list of tensors")
        found = list(params)
        if not found:
            raise ValueError("there are no parameters to learn")
        self._require_rates(defaults)
        super().__init__(found, defaults)

    state_dict, zero_grad = _state_dict, _zero_grad

    def _require_rates(self, group: Group) -> None:
        """Raise ValueError for rates that are none."""
        raise NotImplementedError

    def _update(self, group: Group, learning: Gradients) -> None:
        """Change parameters and their state, in place."""
        raise NotImplementedError

    def add_param_group(self, param_group: Group) -> None:
        """Learn more parameters, with rates of their own.

        Args:
            param_group: "params", and the rates that differ from the optimizer's.

        Raises:
            ValueError, TypeError: as the optimizer itself does.
        """
        if isinstance(param_group, dict) and isinstance(param_group["params"], Iterable | Tensor):
            given = param_group["params"]
            if not isinstance(given, Tensor | set):
                given = param_group["params"] = list(given)
            require_learnable([given] if isinstance(given, Tensor) else given, len(self.parameters()))
            self._require_rates({**self.defaults, **param_group})
        _add_param_group(self, param_group)

    def parameters(self) -> list[Tensor]:
        """Those of all groups, in order."""
        return [w for group in self.param_groups for w in group["params"]]

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update every parameter that has a gradient, in place.

        Args:
            closure: computes the loss and its gradients first.

        Returns:
            What `closure` does.

        Raises:
            TypeError: for a gradient that is sparse.
            ValueError: for a state of another shape than its parameter.
        """
        with torch.enable_grad():
            loss = None if closure is None else closure()
        first = 0
        with torch.no_grad():
            for group in self.param_groups:
                self._update(group, gradients(group, first))
                first += len(group["params"])
        return loss

    def buffer(self, name: str, i: int, w: Tensor) -> Tensor:
        """What is remembered of parameter i under a name, at first 0; like w whatever became of either since."""
        state = self.state[w]
        v: Tensor | None = state.get(name)
        if v is None or (v.dtype, v.device, v.shape) != (w.dtype, w.device, w.shape):
            v = state[name] = torch.zeros_like(w) if v is None else fitted(v, w, f"{name} of parameter {i}")
        return v

    def load_state_dict(self, state_dict: Group) -> None:
        """Go on with copies of the state, and with the rates, of another optimizer of the same parameters.

        Args:
            state_dict: from its `state_dict`, or from that of torch's optimizer of this name; what is like a
                parameter is rounded to the parameter's type.

        Raises:
            ValueError: for a state of another shape than its parameter, or of a parameter that there is not.
            TypeError: for what is no tensor.
        """
        places = [i for group in state_dict["param_groups"] for i in group["params"]]
        if unknown := sorted(str(i) for i in state_dict["state"] if i not in places):
            raise ValueError(f"state has {', '.join(unknown)}, but no group has such a parameter")
        state = {
            i: {
                name: fitted(v, w, f"{name} of parameter {i}") if name in self.buffers and v is not None else v
                for name, v in state_dict["state"][i].items()
            }
            for i, w in zip(places, self.parameters(), strict=False)  # torch says where there are more of either
            if i in state_dict["state"]
        }
        _load_state_dict(self, {**state_dict, "state": state})
        for group in self.param_groups:
            for name, rate in self.defaults.items():
                group.setdefault(name, rate)


def gradients(group: Group, first: int) -> Gradients:
    """What there is to learn in a group whose first parameter has this number."""
    found = []
    for i, w in enumerate(group["params"], first):
        if w.grad is not None:
            require_tensor(w.grad, f"the gradient of parameter {i}")
            found.append((i, w, -w.grad if group["maximize"] else w.grad))
    return found


def require_learnable(params: Iterable[Any], first: int = 0) -> None:
    """Raise TypeError or ValueError for what cannot be learned among tensors, or pairs of a name and a tensor."""
    found: list[Tensor] = [w[1] if isinstance(w, tuple) else w for w in params]
    for i, w in enumerate(found, first):
        require_tensor(w, f"parameter {i}")
        if w.dtype not in REAL:
            raise TypeError(f"parameter {i} is {w.dtype}, but must be float32 or float64")
        if not w.is_leaf:
            raise ValueError(f"parameter {i} is computed from other tensors, so it cannot be learned itself")
        if any(w is other for other in found[: i - first]):
            raise ValueError(f"parameter {i} is there twice")


def require_numbers(group: Group, *names: str) -> None:
    """Raise ValueError for a rate that is negative or no finite number."""
    for name in names:
        if not 0 <= group[name] < torch.inf:
            raise ValueError(f"{name} is {group[name]}, but must be a number from 0 on")


@lru_cache(256)
def rounded(rate: float, dtype: torch.dtype) -> float:
    """A rate as its parameter's type holds it."""
    return torch.tensor(rate, dtype=torch.float64, device="cpu").to(dtype).item()


def fitted(v: Tensor, w: Tensor, what: str) -> Tensor:
    """A copy of v, of w's type, on its device and in its layout. Raises ValueError, TypeError."""
    require_tensor(v, what)
    if v.shape != w.shape:
        raise ValueError(f"{what} is {size(v)}, but the parameter {size(w)}")
    return torch.zeros_like(w).copy_(v)
