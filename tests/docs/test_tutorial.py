"""Every command of docs/tutorial.md, typed as written, in one shell, in a fresh clone; what it shows is what comes."""

import os
import re
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from urllib.request import urlopen

from tests.conftest import ROOT, environment, make_checkout, run
from tests.made.processes import free_port

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SERVES = "make ui"  # until Ctrl-C
MARK = "--- done ---"


def test_the_tutorial(tmp_path):
    folder = fresh(tmp_path / "samebits")
    blocks = BLOCK.findall((ROOT / "docs/tutorial.md").read_text())
    assert {kind for kind, _ in blocks} == {"sh", "text"}
    line = ["bash", "--noprofile", "--norc", "-o", "pipefail"]
    environ = environment(PATH=os.environ["PATH"], PORT=str(free_port()))  # as it is for who has only Python and make
    with subprocess.Popen(
        line, cwd=folder, env=environ, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, start_new_session=True,
    ) as shell:  # fmt: skip
        try:
            for (kind, body), (after, shown) in pairwise([*blocks, ("", "")]):
                if kind == "sh":
                    said = "".join(typed(shell, command) for command in body.splitlines())
                    missing = [row for row in shown.splitlines() if after == "text" and row not in said.splitlines()]
                    assert not missing, f"{body}said\n{said}"
        finally:
            os.killpg(shell.pid, signal.SIGKILL)


def fresh(folder: Path) -> Path:
    """A clone as it is fetched, but for .venv, which takes minutes to set up."""
    make_checkout(folder)
    for name in ("params.yaml", "dvc.lock"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    run("git", "add", ".", cwd=folder)
    run("git", "commit", "--quiet", "--message", "as committed", cwd=folder)
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


def typed(shell: subprocess.Popen[str], command: str) -> str:
    """Type one command and return what it said; it must end well."""
    serves = command == SERVES
    assert shell.stdin is not None
    assert shell.stdout is not None
    shell.stdin.write(f"{command}{' &' if serves else ''}\necho '{MARK}' $?\n")
    shell.stdin.flush()
    said = ""
    for line in shell.stdout:
        if line.startswith(MARK):
            assert line == f"{MARK} 0\n", f"{command}\n{said}"
            return said + (opened(shell) if serves else "")
        said += line
    raise AssertionError(f"the shell ended with {command}:\n{said}")


def opened(shell: subprocess.Popen[str]) -> str:
    """Wait for the page that a server names, ask for it, and press Ctrl-C."""
    assert shell.stdout is not None
    said = ""
    for line in shell.stdout:
        said += line
        if found := re.search(r"http://127\.0\.0\.1:\d+", line):
            break
    else:
        raise AssertionError(f"no page was named:\n{said}")
    for _ in range(600):
        try:
            with urlopen(found[0]) as page:
                assert page.status == 200
            break
        except OSError:
            subprocess.run(["sleep", "0.2"], check=True)
    else:
        raise AssertionError(f"no page came:\n{said}")
    typed(shell, "pkill -TERM -P $! ; kill $! ; wait $! ; true")
    return said
