"""What `make machines` says where a kind cannot be run: one sentence, before anything is computed."""

import platform
import re
import shutil
import sys
from importlib import metadata
from pathlib import Path

import pytest

from samebits.base.errors import UserError
from samebits.claims.machines import arm, kinds
from tests.conftest import ROOT, make_checkout, run


def said(*arguments: str, cwd: Path = ROOT, **changes: str) -> str:
    """Run the command, which must fail at once, and return its one sentence."""
    done = run(sys.executable, "-m", "samebits", "machines", *arguments, cwd=cwd, check=False, **changes)
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr


def needs(emulator: str) -> None:
    if shutil.which(emulator) is None:
        pytest.skip(f"{emulator} is missing here")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is emulated")
@pytest.mark.parametrize(("kind", "emulator"), [("Haswell", "qemu-x86_64-static"), ("arm64", "qemu-aarch64-static")])
def test_an_emulator_that_is_missing(kind: str, emulator: str, tmp_path: Path) -> None:
    assert said("--kind", kind, PATH=str(tmp_path)) == (
        f"error: {emulator} is missing: on Debian and Ubuntu `apt-get install qemu-user-static` brings it\n"
    )


def test_a_kind_that_qemu_does_not_know() -> None:
    needs("qemu-x86_64-static")
    sentence = said("--kind", "Hazwell")
    assert sentence.startswith("error: --kind Hazwell: unable to find CPU model 'Hazwell'; ")
    assert sentence.count("\n") == 1


def test_no_network_for_arm(tmp_path: Path) -> None:
    needs("qemu-aarch64-static")
    needs("apt-get")
    checkout = make_checkout(tmp_path)  # which has no root yet
    dead = "http://127.0.0.1:9"
    first, sentence, *more = said("--kind", "arm64", cwd=checkout, http_proxy=dead, https_proxy=dead).splitlines()
    assert first.startswith("setting up 64-bit Arm")
    assert sentence.startswith("error: 64-bit Arm cannot be set up, which takes the network: ")
    assert more == []
    assert [path.name for path in (checkout / ".machines").iterdir()] == ["arm64.lock"]


def test_another_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    with pytest.raises(UserError, match=r"Haswell is emulated on x86-64 Linux alone, and this is Darwin on arm64"):
        kinds.find("Haswell")


def test_settings_that_choose_instructions_stay_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_CORETYPE", "SkylakeX")
    monkeypatch.setenv("MKL_CBWR", "AVX512")
    environment = kinds.environment(kinds.find(kinds.HERE))
    assert not {"OPENBLAS_CORETYPE", "MKL_CBWR"} & environment.keys()
    assert environment["DEVICE"] == "cpu"


def test_what_goes_to_arm_is_what_is_installed_here_torch_apart() -> None:
    entries = arm.locked(f"{sys.version_info.major}.{sys.version_info.minor}")
    pins = dict(entry.partition(" ")[0].split("==") for entry in entries)
    assert {"numpy", "scipy", "matplotlib", "sympy", "pydantic-core", "scikit-learn"} <= pins.keys()
    assert not {"torch", "torchvision", "mlflow", "dvc", "pytest", "triton"} & pins.keys()
    assert {name: metadata.version(name) for name in pins} == pins
    assert all(re.fullmatch(r"    (--hash=sha256:\w{64}( \\)?|#.*)", line)
               for entry in entries for line in entry.split("\n")[1:])  # fmt: skip
