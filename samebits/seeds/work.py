"""What a worker does, from bytes to bytes: it takes some seeds some epochs further. It needs no file of the project."""

import importlib
import platform
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from safetensors.torch import load, save

from samebits.base.errors import UserError
from samebits.base.params import Network, Training
from samebits.datasets.split import Split
from samebits.learning import device
from samebits.learning.arithmetic import Name
from samebits.learning.course import Build, Course, Standing
from samebits.learning.own import OwnCourse
from samebits.seeds.codec import decode, encode
from samebits.seeds.key import arrays, code

ROOM = "samebits.learning."  # where all that builds learners is


def packed(course: Course) -> bytes:
    """Return the arrays of a course as safetensors: what every worker needs once."""
    return save({name: x.cpu() for name, x in arrays(course).items()})


def task(course: Course, decides: Mapping[str, Any], group: Sequence[Standing], epochs: int) -> bytes:
    """Return what to do: take a group so many epochs further on a course."""
    kind = {"name": course.name, "arithmetic": course.arithmetic, "block": course.block.model_dump()}
    return encode(group, {**decides, "course": kind, "epochs": epochs})


def work(data: bytes, asked: bytes) -> bytes:
    """Do a task on the arrays `data`; return where the seeds stand then, and how many seconds an epoch of one took.

    A UserError becomes a result too, whose `error` is its sentence.
    """
    group, about = decode(asked)
    try:
        started, reached = time.perf_counter(), None
        for reached in _course(data, about).follow(group, about["epochs"]):  # noqa: B007
            pass
        assert reached
        standings = reached.standings()
        seconds = (time.perf_counter() - started) / (standings[0].epoch - group[0].epoch) / len(group)
        return encode(standings, {"seconds": seconds})
    except UserError as error:
        return encode([], {"error": str(error)})


def _course(data: bytes, about: Mapping[str, Any]) -> Course:
    kind, build, where = about["course"], builder(about["build"]), device.chosen()
    if code(build.__module__) != about["code"]:
        host = platform.node()
        raise UserError(f"a worker on {host} has other code than this project: bring it to the same commit")
    splits = _splits(data, about["data"], where)
    course = course_of(about, kind["name"], kind["arithmetic"], kind["block"], build, splits, where)
    course.prepare()
    return course


def course_of(
    decides: Mapping[str, Any], name: str, arithmetic: Name, block: Mapping[str, Any], build: Build,
    splits: Mapping[str, Split], where: torch.device,
) -> Course:  # fmt: skip
    """Return the course of which a key was made, with the block's seeds."""
    widths, layers = decides["widths"], decides["layers"]
    if layers is None:
        return Course(name, arithmetic, Training(**block), build, splits, widths, where)
    return OwnCourse(name, arithmetic, Network(**block), build, splits, widths, where, layers)


def builder(named: str) -> Build:
    """Return the function MODULE:NAME that builds learners. Raises UserError for one of another room."""
    module, _, name = named.partition(":")
    if not module.startswith(ROOM):
        raise UserError(f"learners are built in {ROOM}*, not in {module}")
    build: Build = getattr(importlib.import_module(module), name)
    return build


_latest: dict[tuple[str, torch.device], dict[str, Split]] = {}  # of the course that this process worked on last


def _splits(data: bytes, digest: str, where: torch.device) -> dict[str, Split]:
    """Decode the arrays, once for all tasks of a course; their order is that of the columns of a history."""
    if (found := _latest.get((digest, where))) is None:
        tensors = {name: x.to(where) for name, x in load(data).items()}
        names = sorted({name.partition(".")[0] for name in tensors}, key=["train", "test", "validation"].index)
        found = {name: Split(tensors[f"{name}.images"], tensors[f"{name}.labels"]) for name in names}
        _latest.clear()
        _latest[digest, where] = found
    return found
