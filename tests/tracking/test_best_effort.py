import signal
import subprocess
import sys
import threading
import time

import pytest

from samebits.tracking import best_effort
from tests.made.finished import enter

LATER = "; `samebits publish` does it later\n"


@pytest.fixture
def publisher(tmp_path, monkeypatch):
    """Let the publisher be a process that does what a test says."""
    enter(monkeypatch, tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    (tmp_path / "samebits").mkdir()
    (tmp_path / "samebits/__init__.py").touch()  # comes before this project's, then
    return (tmp_path / "samebits/__main__.py").write_text


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "exit code -9"),
        ("import sys; sys.exit('Warning: x\\nerror: MLflow cannot be reached')", "MLflow cannot be reached"),
        ("import sys; sys.exit(b'\\xff'.decode('latin-1'))", "ÿ"),
        # What it leaves behind keeps nobody:
        ("import subprocess, sys; subprocess.Popen(['sleep', '99']); sys.exit('so')", "so"),
        ("import sys; sys.exit(f'{sys.argv[1:]} {sys.stdin.read()!r}')", "['publish', 'digits'] ''"),
        ("import os, sys; sys.exit(str('DVC_STAGE' in os.environ))", "False"),  # else old outputs would be put back
    ],
)
def test_best_effort_outlives_its_process(publisher, monkeypatch, capfd, does, reason):
    monkeypatch.setenv("DVC_STAGE", "evaluate@digits")
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8")
    publisher(does)
    best_effort.publish("digits")
    assert capfd.readouterr() == (f"warning: not published to MLflow: {reason}{LATER}", "")


def test_no_process_at_all(monkeypatch, capfd):
    monkeypatch.setattr(sys, "executable", "/not/there")
    best_effort.publish("digits")
    assert capfd.readouterr().out.startswith("warning: not published to MLflow: [Errno 2] No such file")


@pytest.mark.parametrize(
    "does",
    [
        "import time; time.sleep(60)",
        "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)",
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)",
        "import threading, time; [threading.Thread(target=time.sleep, args=(60,)).start() for _ in range(3)]",
    ],
)
def test_who_waits_is_ended(publisher, monkeypatch, tmp_path, capfd, does):
    """Even while MLflow is imported, and however busy the machine is: the time is counted here."""
    monkeypatch.setattr(best_effort, "BUDGET", 1.0)
    publisher(does)
    began = time.monotonic()
    best_effort.publish("digits")
    assert time.monotonic() - began < 20
    waiting = f"1 s have passed, most of them in waiting for sqlite:///{tmp_path}/mlflow.db"
    assert capfd.readouterr() == (f"warning: not published to MLflow: {waiting}{LATER}", "")


WORKS = """
import threading, time
def work():
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        pass
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


def test_who_works_may_go_on_for_a_while(publisher, monkeypatch, capfd):
    """As on a new database; the machine being busy with other things is no waiting, either."""
    monkeypatch.setattr(best_effort, "BUDGET", 1.0)
    publisher(WORKS.replace("SECONDS", "3"))
    best_effort.publish("digits")
    assert capfd.readouterr() == ("", "")
    monkeypatch.setattr(best_effort, "LONGEST", 2.0)
    publisher(WORKS.replace("SECONDS", "60"))
    best_effort.publish("digits")
    assert capfd.readouterr().out == f"warning: not published to MLflow: it took more than 2 s{LATER}"


def test_by_hand_it_takes_what_it_takes(publisher, monkeypatch, capfd):
    monkeypatch.setattr(best_effort, "BUDGET", 0.5)
    publisher("import time; time.sleep(3)")
    best_effort.publish("digits", hurry=False)
    assert capfd.readouterr() == ("", "")


def test_it_ends_with_who_asked(publisher, tmp_path):
    """Ctrl-C, or a stage that is told to end, leaves no publisher at work."""
    publisher("import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(60)")
    interrupt = threading.Timer(2, signal.raise_signal, (signal.SIGINT,))
    interrupt.start()
    with pytest.raises(KeyboardInterrupt):
        best_effort.publish("digits")
    pid = (tmp_path / "pid").read_text()
    assert subprocess.run(["ps", "-p", pid], stdout=subprocess.DEVNULL).returncode == 1


def test_a_stage_that_publishes_imports_nothing_for_it():
    code = "import sys, samebits.tracking.best_effort; print({'mlflow', 'pandas', 'matplotlib'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
