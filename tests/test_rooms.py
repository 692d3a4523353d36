"""The rooms that do the arithmetic and the learning need no more than torch, numpy and safetensors."""

import subprocess
import sys

import pytest

SCRIPT = """
import sys

class Poor:
    allowed = {"torch", "numpy", "safetensors", "samebits"}

    def __init__(self):
        import torch, numpy, safetensors.torch  # with whatever these bring along
        self.there = {name.partition(".")[0] for name in sys.modules}

    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in self.allowed | self.there | set(sys.stdlib_module_names):
            raise ImportError(f"{name} is not one of them")

sys.meta_path.insert(0, Poor())
for room in sys.argv[1:]:
    __import__(room)
"""
LEARNING = ("concise", "description", "device", "float32", "load", "scratch", "training")
ROOMS = ["samebits.exact", *(f"samebits.learning.{name}" for name in LEARNING), "samebits.measures.shared_start"]


def poor(*modules):
    return subprocess.run([sys.executable, "-c", SCRIPT, *modules], capture_output=True, text=True)


@pytest.mark.parametrize("rooms", [ROOMS], ids=["all"])
def test_the_learning_rooms_need_only_torch_numpy_and_safetensors(rooms):
    done = poor(*rooms)
    assert done.returncode == 0, done.stderr


def test_the_guard_sees_another_import():
    assert "pydantic is not one of them" in poor("samebits.base.params").stderr
