"""A fault, planted: the check beside it passes before and fails after."""

from collections.abc import Callable

import pytest


def require_caught(check: Callable[[], None], plant: Callable[[], object]) -> None:
    """Plant a fault, which the test's monkeypatch takes out again, and have the check see it."""
    check()
    plant()
    with pytest.raises(AssertionError):
        check()
