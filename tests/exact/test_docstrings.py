"""Every public name says what it takes and gives, and its example runs as written."""

import doctest
import inspect

import pytest
import torch

from samebits import exact

OURS = [name for name in exact.__all__ if getattr(getattr(exact, name), "__module__", "").startswith("samebits.exact")]
FINDER = doctest.DocTestFinder(recurse=False)


def test_all_but_torchs_own_are_ours():
    assert set(exact.__all__) - set(OURS) == {"ReLU", "dtype"}


@pytest.mark.parametrize("name", OURS)
def test_the_example_comes_out_as_written(name):
    [test] = FINDER.find(getattr(exact, name), name, globs={"exact": exact, "torch": torch})
    assert test.examples, f"exact.{name} has no example"
    said: list[str] = []
    failed, _ = doctest.DocTestRunner().run(test, out=said.append)
    assert not failed, "".join(said)


@pytest.mark.parametrize("name", [name for name in OURS if not inspect.isclass(getattr(exact, name))])
def test_every_argument_is_described(name):
    function = getattr(exact, name)
    text = inspect.getdoc(function) or ""
    described = text.partition("Args:")[2]
    for argument in inspect.signature(function).parameters:
        assert f"\n    {argument}: " in described, f"exact.{name}: {argument}"
