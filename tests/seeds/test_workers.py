"""Who trains changes no bit: processes, one that is killed, a Dask cluster that loses a worker and gets another, one of
another kind of processor.
"""

import contextlib
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from samebits.base.errors import UserError
from samebits.claims.machines import kinds
from samebits.learning.course import Standing
from samebits.seeds import workers
from samebits.seeds.cluster import Cluster
from samebits.seeds.crew import share
from samebits.seeds.key import about
from samebits.seeds.processes import LINE, Processes
from samebits.seeds.training import trained
from tests.conftest import ROOT
from tests.made.processes import dask_scheduler, dask_worker, free_port, wait_for_port
from tests.seeds.test_resume import bits, course, ends

SEEDS = [3, 5, 8, 13]


@pytest.fixture(autouse=True)
def no_store(monkeypatch, tmp_path):
    monkeypatch.setenv("SEED_STORE", "off")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("WORKERS", raising=False)
    for kind in (Processes, Cluster):
        monkeypatch.setattr(kind, "long", 0.1)  # seconds: tests are to be short
    monkeypatch.chdir(tmp_path)


def long(epochs=120):
    it = course(seeds=SEEDS)
    return type(it)(**{**vars(it), "block": it.block.model_copy(update={"epochs": epochs})})


def by(crew, it, each=lambda standings: None):
    """Where each seed ends that a crew trains; `each` sees what it tells on the way."""
    found: dict[int, object] = {}
    for standings in share(crew, it, about(it), [Standing(seed) for seed in it.block.seeds]):
        each(standings)
        found |= {one.seed: bits(one) for one in standings}
    return found


@pytest.mark.parametrize("count", [1, 2, 3])
def test_processes_end_in_the_same_bits(count):
    assert by(Processes([LINE] * count), course(seeds=SEEDS)) == ends(course(seeds=SEEDS))


def test_a_worker_that_is_killed_costs_no_more_than_its_task(capsys):
    crew, it = Processes([LINE] * 2), long()
    killed: list[int] = []

    def kill(standings):
        if standings[0].epoch > 1 and len(killed) < 2:
            [victim, *_] = [process for process in crew.running if process.pid not in killed]
            killed.append(victim.pid)
            victim.send_signal(signal.SIGKILL)

    assert by(crew, it, kill) == ends(it)
    said = capsys.readouterr().out
    assert len(killed) == 2
    for pid in killed:
        assert re.search(rf"note: worker process {pid} was ended by signal 9: seeds [\d, ]+ go on from epoch", said)


def test_a_group_that_kills_every_worker_is_given_up():
    with pytest.raises(UserError, match=r"x mlp: one worker after the other was lost with seeds .*: worker process"):
        by(Processes([[sys.executable, "-c", "raise SystemExit(3)"]] * 2), course(seeds=SEEDS))


def test_workers_end_with_whoever_started_them(tmp_path):
    """Even one that is killed: nobody is left behind that computes for nobody."""
    script = f"""
import os, sys
from samebits.seeds.crew import share
from samebits.seeds.key import about
from samebits.learning.course import Standing
from samebits.seeds.processes import LINE, Processes
from tests.seeds.test_workers import long
it = long(100000)
crew = Processes([LINE] * 2)
for standings in share(crew, it, about(it), [Standing(seed) for seed in {SEEDS}]):
    print(*[process.pid for process in crew.running], flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        pids = [int(pid) for pid in next(line for line in process.stdout if len(line.split()) == 2).split()]
        process.kill()
    until = time.monotonic() + 20
    while any(alive(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.1)
    assert not any(alive(pid) for pid in pids)


def alive(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_ctrl_c_ends_the_workers():
    crew, it = Processes([LINE] * 2), long(100000)
    pids: list[int] = []

    def interrupt(standings):
        pids.extend(process.pid for process in crew.running)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        by(crew, it, interrupt)
    assert pids
    assert not any(alive(pid) for pid in pids)


def test_an_error_of_a_training_is_told_as_here():
    it = course(seeds=SEEDS)
    wild = type(it)(**{**vars(it), "block": it.block.model_copy(update={"lr": 1e30})})
    with pytest.raises(UserError, match=r"x mlp seed \d+, epoch 1, step"):
        by(Processes([LINE]), wild)


def test_a_worker_of_another_kind_of_processor(capsys):
    """Emulated: without AVX, its torch and numba take other ways to the same bits."""
    try:
        kind = kinds.find("nehalem" if "nehalem" in kinds.ALL else next(k for k in kinds.ALL if k != kinds.HERE))
    except UserError as error:
        pytest.skip(str(error))
    line = [*kind.python, "-m", "samebits.seeds.worker"]
    it = course(seeds=SEEDS)
    assert by(Processes([LINE, line]), it) == ends(it)


@pytest.mark.parametrize(
    "text", ["0", "-1", "x", "1.5", "257", "tcp://", "tcp://host", "http://host:1", "2 3", "tcp://u:p@h:1"]
)
def test_workers_that_are_no_workers(monkeypatch, text):
    monkeypatch.setenv("WORKERS", text)
    with pytest.raises(UserError, match="is neither a number of processes, 1 to 256, nor the address of a Dask"):
        workers.wanted()


def test_one_worker_is_this_process(monkeypatch):
    for text in ("1", "", "  "):
        monkeypatch.setenv("WORKERS", text)
        assert workers.wanted() is None


def test_float32_takes_no_workers(monkeypatch, capsys):
    monkeypatch.setenv("WORKERS", "2")
    it = course(name="float32", seeds=[3])
    assert [end.seed for end in trained(it)] == [3]
    assert "note: WORKERS is not for arithmetic float32" in capsys.readouterr().out


@contextlib.contextmanager
def running(process):
    with process:
        try:
            yield process
        finally:
            process.kill()


def worker(address):
    return running(dask_worker(address))


@pytest.fixture
def scheduler():
    address = f"tcp://127.0.0.1:{free_port()}"
    with running(dask_scheduler(address)):
        yield address


def test_a_cluster_that_loses_a_worker_and_gets_another(scheduler, capsys):
    it = long()
    with contextlib.ExitStack() as stack:
        three = [stack.enter_context(worker(scheduler)) for _ in range(3)]
        crew = ready(Cluster(scheduler), 3)
        events = iter([three[1].kill, lambda: stack.enter_context(worker(scheduler)), lambda: time.sleep(6)])

        def happen(standings):
            if standings[0].epoch > 1:
                next(events, lambda: None)()

        assert by(crew, it, happen) == ends(it)
    said = capsys.readouterr().out
    assert re.search(r"note: worker tcp://127\.0\.0\.1:\d+ is gone: what it had goes on elsewhere", said)
    assert re.search(r"note: worker tcp://127\.0\.0\.1:\d+ has come", said)


def ready(crew, count):
    """The crew, once the cluster has so many workers."""
    from distributed import Client

    with Client(crew.address, timeout=60, set_as_default=False) as client:
        client.wait_for_workers(count, timeout=60)
    return crew


def test_a_scheduler_that_goes_is_a_sentence(scheduler):
    it = long(100000)
    with worker(scheduler):
        crew = ready(Cluster(scheduler), 1)

        def end(standings):
            from distributed import Client

            with Client(scheduler, timeout=30, set_as_default=False) as client, contextlib.suppress(Exception):
                client.shutdown()

        with pytest.raises(UserError, match="the Dask scheduler is gone; the seed store has what was reached"):
            by(crew, it, end)


def test_a_cluster_without_workers_is_a_sentence(scheduler, monkeypatch):
    monkeypatch.setattr("samebits.seeds.cluster.PATIENCE", 3)
    wait_for_port(scheduler)
    with pytest.raises(UserError, match="the Dask scheduler has no workers: `dask worker tcp://"):
        Cluster(scheduler).open(b"")


@pytest.mark.parametrize("kind", ["closed", "silent", "black hole", "another protocol"])
def test_a_cluster_that_does_not_answer_is_a_sentence_within_ten_seconds(kind, monkeypatch):
    with contextlib.ExitStack() as stack:
        address = f"tcp://127.0.0.1:{free_port()}"
        if kind == "black hole":
            address = "tcp://10.255.255.1:8786"
        elif kind != "closed":
            server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
            if kind == "another protocol":
                import threading

                def answer():
                    with contextlib.suppress(OSError):
                        while True:
                            client, _ = server.accept()
                            client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                            client.close()

                threading.Thread(target=answer, daemon=True).start()
        started = time.monotonic()
        said = "(no Dask scheduler (answers within|can be reached)|what answers there cannot be)"
        with pytest.raises(UserError, match=f"WORKERS={address}: {said}"):
            by(Cluster(address), course(seeds=SEEDS))
        assert time.monotonic() - started < 15


def test_without_dask_it_is_said_what_is_needed(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UserError, match=r"this needs dask\.distributed: pip install distributed"):
        Cluster("tcp://127.0.0.1:1").open(b"")


def test_the_environment_of_a_worker_has_its_share_of_threads_and_is_no_stages(monkeypatch):
    monkeypatch.setenv("DVC_STAGE", "train")
    for count, share_of_each in ((1, "4"), (2, "2"), (3, "1"), (9, "1")):
        monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
        environment = Processes([LINE] * count).environment()
        assert environment["OMP_NUM_THREADS"] == share_of_each
        assert "DVC_STAGE" not in environment
