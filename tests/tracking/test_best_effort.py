import subprocess
import sys

import pytest

from samebits.tracking import best_effort


@pytest.mark.parametrize(
    ("ended", "reason"),
    [
        (subprocess.TimeoutExpired("python", 1), "it took more than 120 s"),
        (OSError("no more processes"), "no more processes"),
        (subprocess.CompletedProcess([], -9, stderr=""), "exit code -9"),
        (
            subprocess.CompletedProcess([], 3, stderr="Warning: x\nerror: MLflow cannot be reached\n"),
            "MLflow cannot be reached",
        ),
    ],
)
def test_best_effort_outlives_its_process(monkeypatch, capsys, ended, reason):
    def processes(line, env, **_):
        assert "DVC_STAGE" not in env, "else its failure would put the stage's old outputs back"
        if isinstance(ended, Exception):
            raise ended
        return ended

    monkeypatch.setenv("DVC_STAGE", "evaluate@digits")
    monkeypatch.setattr(subprocess, "run", processes)
    best_effort.publish("digits")
    assert capsys.readouterr().out == (
        f"warning: not published to MLflow: {reason}; `samebits publish` does it later\n"
    )


def test_a_stage_that_publishes_imports_nothing_for_it():
    code = "import sys, samebits.tracking.best_effort; print({'mlflow', 'pandas', 'matplotlib'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
