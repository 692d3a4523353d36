"""The same training in processes that differ as machines do: one exact hash, several of float32's (-s shows them)."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from tests.conftest import ROOT

SETTINGS: tuple[dict[str, str], ...] = (
    {},
    {"OMP_NUM_THREADS": "2"},
    {"ATEN_CPU_CAPABILITY": "default"},
    {"ATEN_CPU_CAPABILITY": "avx2", "MKL_CBWR": "AVX2"},
    {"ATEN_CPU_CAPABILITY": "avx512", "MKL_CBWR": "AVX512"},
    {"MKL_CBWR": "COMPATIBLE", "ONEDNN_MAX_CPU_ISA": "AVX2"},  # AVX2: int8 products that saturate
    {"ONEDNN_MAX_CPU_ISA": "SSE41", "OMP_NUM_THREADS": "2", "NUMBA_CPU_NAME": "nehalem"},
    {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "", "ONEDNN_MAX_CPU_ISA": "AVX2"},
)


def run(settings: dict[str, str]) -> list[str]:
    """The hashes of a process with these settings."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **settings}
    done = subprocess.run([sys.executable, "-m", "tests.made.small"], env=env, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_one_hash_on_every_machine() -> None:
    with ThreadPoolExecutor(2) as pool:
        hashes = list(pool.map(run, SETTINGS))
    for settings, each in zip(SETTINGS, hashes, strict=True):
        print(" ".join(f"{k}={v}" for k, v in settings.items()) or "default", *(h[:12] for h in each))
    wide, control, plain, compiled = (set(column) for column in zip(*hashes, strict=True))
    assert wide == {"e7a2f19269a647fd5f3f16756b588dc727b7a954ae8248e2572c78cfdaa1d3c8"}
    assert plain == compiled == {hashes[0][2]}
    assert len(control) > 1, "the control did not split: the settings change nothing here"
