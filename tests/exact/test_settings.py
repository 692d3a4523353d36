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
    wide, control, plain, compiled, layers, wide_layers = (set(column) for column in zip(*hashes, strict=True))
    assert wide == {"e7a2f19269a647fd5f3f16756b588dc727b7a954ae8248e2572c78cfdaa1d3c8"}
    assert plain == compiled == {hashes[0][2]}
    assert layers == {"b965665c18c5f8744870497ec331b7fc4d56aaa9317cc867aab1f9364ec6ce67"}
    assert wide_layers == {"6485a43f07a5a7ee7f7a16f9cc3ad0fbda4448c8c198ead37909d75f2d113aa2"}
    assert len(control) > 1, "the control did not split: the settings change nothing here"
