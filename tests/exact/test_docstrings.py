"""Every public name says what it takes and gives, and its example runs as written."""

import doctest
import inspect

import pytest
import torch

from samebits import exact
from tests.conftest import ROOT

OURS = [name for name in exact.__all__ if getattr(getattr(exact, name), "__module__", "").startswith("samebits.exact")]
CLASSES = [name for name in OURS if inspect.isclass(getattr(exact, name))]
METHODS = {
    f"{name}.{key}": method
    for name in CLASSES
    for key, method in vars(getattr(exact, name)).items()
    if inspect.isfunction(method) and not key.startswith("_")
}
DESCRIBED = {name: getattr(exact, name) for name in OURS} | METHODS
FINDER = doctest.DocTestFinder(recurse=False)


def example(name):
    """Return the examples of a name; each is found by itself, for the finder passes over methods that are wrapped."""
    [test] = FINDER.find(DESCRIBED[name], name, globs={"exact": exact, "torch": torch})
    return test


def test_all_but_torchs_own_are_ours():
    assert set(exact.__all__) - set(OURS) == {"Flatten", "Module", "ReLU", "Sequential", "dtype", "loss_dtype"}
    assert "Linear.normal_" in METHODS


@pytest.mark.parametrize("name", DESCRIBED)
def test_the_example_comes_out_as_written(name):
    test = example(name)
    assert test.examples or name in METHODS, f"exact.{name} has no example"
    said: list[str] = []
    failed, _ = doctest.DocTestRunner().run(test, out=said.append)
    assert not failed, "".join(said)


def test_no_example_is_left_out():
    sources = (file.read_text() for file in (ROOT / "samebits/exact").rglob("*.py"))
    written = sum(line.strip().startswith(">>> ") for source in sources for line in source.splitlines())
    assert written == sum(len(example(name).examples) for name in DESCRIBED)


@pytest.mark.parametrize("name", DESCRIBED)
def test_every_argument_is_described(name):
    thing = DESCRIBED[name]
    described = (inspect.getdoc(thing) or "").partition("Args:")[2]
    function = vars(thing).get("__init__") if inspect.isclass(thing) else thing
    for argument in inspect.signature(function).parameters if function else ():
        assert argument == "self" or f"\n    {argument}: " in described, f"exact.{name}: {argument}"
