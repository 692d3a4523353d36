import errno
import gzip
import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict, deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from samebits.base import paths
from samebits.base.errors import UserError
from samebits.datasets import transfer
from samebits.datasets.bundled import encode_idx
from stages import download
from tests.conftest import ROOT, environment, fullmatch

NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
IMAGES = f"/toy/{NAMES[0]}.gz"


def make(seed):
    """The four decoded files of a small dataset: noise, so that its images' archive takes several packets."""
    rng = np.random.default_rng(seed)
    shapes = ((200, 40, 40), (200,), (50, 40, 40), (50,))
    return {name: encode_idx(rng.integers(0, 256, shape, np.uint8)) for name, shape in zip(NAMES, shapes, strict=True)}


TOY, OTHER = make(0), make(1)
GZ = {f"/toy/{name}.gz": gzip.compress(data) for name, data in TOY.items()}
FILE = "    {key}: {{name: {name}.gz, images: {images}, sha256: {sha256}}}\n"


def catalog_entry(dataset, files, mirrors=(), installed=None):
    keys = ("train_images", "train_labels", "test_images", "test_labels")
    listed = "".join(
        FILE.format(key=key, name=name, images=count, sha256=hashlib.sha256(files[name]).hexdigest())
        for key, name, count in zip(keys, NAMES, (200, 200, 50, 50), strict=True)
    )
    return (
        f"{dataset}:\n  title: T\n  classes: [a, b]\n  image: [40, 40]\n  licence: L\n  citation: C\n"
        f"  mirrors: [{', '.join(mirrors)}]\n  installed: {installed or 'null'}\n  files:\n{listed}"
    )


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder to work in, where the catalog has `toy`; returns a function that gives toy other sources."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATASET_MIRROR", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(transfer, "PAUSE", 0.001)
    Path("data").mkdir()

    def catalog(*mirrors, installed=None):
        text = catalog_entry("toy", TOY, mirrors, installed) + catalog_entry("other", OTHER)
        Path("data/catalog.yaml").write_text(text)

    catalog()
    return catalog


class Server(ThreadingHTTPServer):
    """Serves `files`; the next request for a path is answered by the first of `answers[path]`, if there is one."""

    daemon_threads = True

    def __init__(self, files):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.answers, self.asked = dict(files), defaultdict(deque), []
        self.go_on = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        self.server.asked.append((self.path, self.headers["Range"]))
        answers = self.server.answers[self.path]
        (answers.popleft() if answers else whole)(self, self.server.files.get(self.path))

    def head(self, status, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def log_message(self, *args):
        pass


def whole(request, body):
    """Answer as a good server does, a Range too."""
    if body is None:
        return request.head(404, Content_Length=0)
    start = int(fullmatch(r"bytes=(\d+)-", request.headers["Range"] or "bytes=0-")[1])
    if start >= len(body):
        return request.head(416, Content_Length=0)
    if start:
        rest = f"bytes {start}-{len(body) - 1}/{len(body)}"
        request.head(206, Content_Length=len(body) - start, Content_Range=rest)
    else:
        request.head(200, Content_Length=len(body))
    return request.wfile.write(body[start:])


def without_range(request, body):
    request.head(200, Content_Length=len(body))
    request.wfile.write(body)


def cut(request, body):
    """Announce the whole, send half."""
    request.head(200, Content_Length=len(body))
    request.wfile.write(body[: len(body) // 2])


def unannounced_cut(request, body):
    request.head(200)
    request.wfile.write(body[: len(body) // 2])


def stalled(request, body):
    cut(request, body)
    request.server.go_on.wait(30)


def endless(request, body):
    request.head(200)
    while True:
        request.wfile.write(bytes(1 << 16))


def other_range(request, body):
    request.head(206, Content_Length=10, Content_Range=f"bytes 0-9/{len(body)}")
    request.wfile.write(body[:10])


def status(code, **headers):
    return lambda request, body: request.head(code, Content_Length=0, **headers)


def body(content):
    return lambda request, body: without_range(request, content)


@pytest.fixture
def serve():
    servers = []

    def start(files):
        server = Server(files)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.go_on.set()
        server.shutdown()
        server.server_close()


def raw():
    return {path.name: path.read_bytes() for path in Path("data/raw/toy").glob("*")}


def write(folder, files):
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


def corrupt(archive):
    middle = len(archive) // 2
    return archive[:middle] + bytes([archive[middle] ^ 1]) + archive[middle + 1 :]


PACKAGINGS = {
    "upstream's": lambda name, data: (f"{name}.gz", gzip.compress(data)),
    "recompressed": lambda name, data: (f"{name}.gz", gzip.compress(data[:99], 1) + gzip.compress(data[99:], 1)),
    "plain": lambda name, data: (name, data),
    "plain under the archive's name": lambda name, data: (f"{name}.gz", data),
}


@pytest.mark.parametrize("packaging", PACKAGINGS.values(), ids=PACKAGINGS)
@pytest.mark.parametrize("kind", ["folder", "file URL", "web"])
def test_a_mirror_may_package_the_data_as_it_likes(place, serve, tmp_path, monkeypatch, packaging, kind):
    files = dict(packaging(name, data) for name, data in TOY.items())
    folder = tmp_path / "my mirror"
    write(folder / "toy", files)
    server = serve({f"/toy/{name}": data for name, data in files.items()})
    monkeypatch.setenv("DATASET_MIRROR", {"folder": str(folder), "file URL": folder.as_uri(), "web": server.url}[kind])
    download.main("toy")
    assert raw() == TOY


HTML = b"<!DOCTYPE html><html><body>Please log in</body></html>"
RUBBISH = {
    "HTML": (body(HTML), "an HTML page"),
    "packed HTML": (body(gzip.compress(HTML)), "an HTML page"),
    "nothing": (body(b""), "it holds 0 of the 320,016 bytes"),
    "half an archive": (unannounced_cut, "the archive is truncated"),
    "always cut": (cut, "broke off 5 times"),
    "corrupt": (body(corrupt(GZ[IMAGES])), "corrupt"),
    "another dataset": (
        body(gzip.compress(OTHER[NAMES[0]])),
        "it is other's train-images-idx3-ubyte, the wrong file",
    ),
    "another file": (body(GZ[f"/toy/{NAMES[2]}.gz"]), "it is toy's t10k-images-idx3-ubyte, the wrong file"),
    "right size": (body(bytes(320016)), "corrupt (SHA-256"),
    "a bomb": (body(gzip.compress(bytes(200_000_000))), "more than the 320,016 bytes"),
    "without end": (endless, "sends more than 327,312 bytes"),
    "missing": (status(404), ""),
    "teapot": (status(418), "HTTP 418"),
}


@pytest.mark.parametrize("name", RUBBISH)
def test_rubbish_fails_a_source_and_leaves_no_trace(place, serve, capfd, name):
    answer, reason = RUBBISH[name]
    bad, good = serve(GZ), serve(GZ)
    bad.answers[IMAGES] = deque([answer] * 5)
    place(f"{bad.url}/toy", f"{good.url}/toy/")
    download.main("toy")
    assert raw() == TOY
    assert reason in capfd.readouterr().err
    assert [path for path, _ in good.asked] == [IMAGES]
    assert not list(Path("data/.downloads/toy").glob("*.part"))


def test_fashion_images_served_as_mnist_are_named(place, serve, monkeypatch):
    server = serve({f"/toy/{name}.gz": gzip.compress(data) for name, data in OTHER.items()})
    monkeypatch.setenv("DATASET_MIRROR", server.url)
    with pytest.raises(UserError, match="it is other's train-images-idx3-ubyte, the wrong file"):
        download.main("toy")


def test_a_transfer_cut_in_the_middle_goes_on(place, serve):
    server = serve(GZ)
    server.answers[IMAGES] = deque([cut])
    place(f"{server.url}/toy")
    download.main("toy")
    assert raw() == TOY
    assert server.asked[:2] == [(IMAGES, None), (IMAGES, f"bytes={len(GZ[IMAGES]) // 2}-")]


@pytest.mark.parametrize("answer", [without_range, other_range, status(416)])
def test_a_server_need_not_know_ranges(place, serve, answer):
    server = serve(GZ)
    server.answers[IMAGES] = deque([cut, answer])
    place(f"{server.url}/toy")
    download.main("toy")
    assert raw() == TOY


@pytest.mark.parametrize("part", [b"rubbish", GZ[IMAGES][:-1] + b"x", GZ[IMAGES], GZ[IMAGES] + b"and more"])
def test_a_wrong_part_of_an_earlier_run_does_no_harm(place, serve, part):
    server = serve(GZ)
    place(f"{server.url}/toy")
    folder = Path("data/.downloads/toy")
    write(folder, {f"{NAMES[0]}.gz.part": part})
    download.main("toy")
    assert raw() == TOY
    assert len(server.asked) > 4, "the part was not where the transfer would go on from"
    assert not list(folder.glob("*.part"))


def test_a_busy_server_does_not_cost_the_part_that_is_there(place, serve):
    server = serve(GZ)
    server.answers[IMAGES] = deque([cut, *[status(503)] * 5])
    place(f"{server.url}/toy")
    with pytest.raises(UserError, match="HTTP 503"):
        download.main("toy")
    assert {path for path, _ in server.asked} == {IMAGES}, "a server that stays busy is not asked for the other files"
    server.asked.clear()
    download.main("toy")
    assert raw() == TOY
    assert server.asked[0] == (IMAGES, f"bytes={len(GZ[IMAGES]) // 2}-")


@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_busy_server_is_asked_again(place, serve, code):
    server = serve(GZ)
    server.answers[IMAGES] = deque([status(code, Retry_After=0), status(code)])
    place(f"{server.url}/toy")
    download.main("toy")
    assert raw() == TOY
    assert len(server.asked) == 4 + 2


def test_no_server_can_ask_for_a_wait_of_hours(place, serve, monkeypatch):
    monkeypatch.setattr(transfer, "LONGEST_WAIT", 0.01)
    server = serve(GZ)
    server.answers[IMAGES] = deque([status(503, Retry_After=7200)])
    place(f"{server.url}/toy")
    download.main("toy")
    assert raw() == TOY


def test_what_is_there_and_verified_needs_no_source(place, capfd):
    write(Path("data/raw/toy"), TOY)
    download.main("toy")
    assert "already there" in capfd.readouterr().out


def test_only_what_is_wrong_or_missing_is_fetched(place, serve):
    server = serve(GZ)
    place(f"{server.url}/toy")
    write(Path("data/raw/toy"), {**TOY, NAMES[1]: OTHER[NAMES[1]]})
    Path("data/raw/toy", NAMES[3]).unlink()
    download.main("toy")
    assert raw() == TOY
    assert [path for path, _ in server.asked] == [f"/toy/{NAMES[1]}.gz", f"/toy/{NAMES[3]}.gz"]


def test_archives_outlive_the_raw_folder_which_dvc_empties(place, serve):
    server = serve(GZ)
    place(f"{server.url}/toy")
    download.main("toy")
    for path in Path("data/raw/toy").iterdir():
        path.unlink()
    archive = Path("data/.downloads/toy", f"{NAMES[0]}.gz")
    archive.write_bytes(corrupt(archive.read_bytes()))
    server.asked.clear()
    download.main("toy")
    assert raw() == TOY
    assert server.asked == [(IMAGES, None)], "all but the damaged one come from the earlier download"


def test_the_installed_copy_comes_last(place, serve, tmp_path):
    write(tmp_path / "share", {f"{name}.gz": gzip.compress(data) for name, data in TOY.items()})
    server = serve({IMAGES: GZ[IMAGES]})
    place(f"{server.url}/toy", installed=str(tmp_path / "share"))
    download.main("toy")
    assert raw() == TOY
    assert (IMAGES, None) in server.asked


def closed_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_mirror_that_cannot_be_reached_is_left_at_once(place, serve, capfd):
    server = serve(GZ)
    place(closed_port(), f"{server.url}/toy")
    download.main("toy")
    assert raw() == TOY
    assert capfd.readouterr().err.count("cannot be reached (Connection refused)") == 1


def test_when_all_fail_each_is_listed_with_its_reason(place, serve, tmp_path, monkeypatch):
    html = serve({path: HTML for path in GZ if path != f"/toy/{NAMES[3]}.gz"})
    html.answers[f"/toy/{NAMES[1]}.gz"] = deque([status(418)])  # of no account, since another source has this file
    some = serve({f"/toy/{NAMES[1]}.gz": GZ[f"/toy/{NAMES[1]}.gz"]})
    closed = closed_port()
    place(f"{html.url}/toy", closed, f"{some.url}/toy", installed="/nowhere/toy")
    monkeypatch.setenv("DATASET_MIRROR", str(tmp_path / "absent"))
    with pytest.raises(UserError) as caught:
        download.main("toy")
    first, *reasons, advice = str(caught.value).splitlines()
    assert first == f"toy: no source gave {NAMES[0]}, {NAMES[2]}, {NAMES[3]}:"
    assert reasons == [
        f"  - DATASET_MIRROR ({tmp_path / 'absent' / 'toy'}): there is no such folder",
        f"  - {html.url}/toy: an HTML page instead of data",
        f"  - {html.url}/toy: HTTP 404 Not Found",
        f"  - {closed}: cannot be reached (Connection refused)",
        f"  - {some.url}/toy: HTTP 404 Not Found",
        "  - installed copy (/nowhere/toy): there is no such folder",
    ]
    assert "FOLDER/toy" in advice
    assert "DATASET_MIRROR=FOLDER" in advice
    assert "make demo" in advice
    assert raw() == {}, "the one file that was to be had does not make a dataset"


def test_an_unknown_dataset(place):
    with pytest.raises(UserError, match="unknown dataset 'mnits': the catalog has toy, other"):
        download.main("mnits")


def test_an_unknown_kind_of_mirror(place, monkeypatch):
    monkeypatch.setenv("DATASET_MIRROR", "s3://bucket")
    with pytest.raises(UserError, match="DATASET_MIRROR is 's3://bucket': it must be a folder or a URL with http"):
        download.main("toy")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_leaves_what_was_there(place, tmp_path, monkeypatch):
    before = {NAMES[0]: OTHER[NAMES[0]], NAMES[1]: OTHER[NAMES[1]]}
    write(Path("data/raw/toy"), before)
    write(tmp_path / "mirror/toy", TOY)
    monkeypatch.setenv("DATASET_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setattr("secrets.token_hex", str)
    Path("data/raw/toy", f".{NAMES[1]}.4.part").symlink_to("/dev/full")  # where `whole` writes first
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        download.main("toy")
    assert raw() == before


def test_ctrl_c_in_a_transfer(place, serve):
    server = serve(GZ)
    server.answers[IMAGES] = deque([stalled])
    place(f"{server.url}/toy")
    command = [sys.executable, "-m", "stages.download", "toy"]
    env = environment(PYTHONPATH=str(ROOT))
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    part = Path(f"data/.downloads{IMAGES}.part")
    for _ in range(3000):
        if part.exists() and part.stat().st_size:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.splitlines()[-1].startswith("error: interrupted")
    assert "Traceback" not in errors
    assert raw() == {}
    size = part.stat().st_size
    server.asked.clear()
    download.main("toy")
    assert raw() == TOY
    assert server.asked[0] == (IMAGES, f"bytes={size}-"), "the transfer goes on from what had come"


def test_two_downloads_at_once_bring_each_file_once(place, serve):
    """As `make verify` beside `make repro`, which share the folder of downloads: the second waits, with a line."""
    server = serve(GZ)
    server.answers[IMAGES] = deque([stalled])
    place(f"{server.url}/toy")
    command, env = [sys.executable, "-m", "stages.download", "toy"], environment(PYTHONPATH=str(ROOT))
    first = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    part = Path(f"data/.downloads{IMAGES}.part")
    while first.poll() is None and not (part.exists() and part.stat().st_size):
        time.sleep(0.01)
    second = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert second.stdout
    assert second.stdout.readline().startswith(f"data/.downloads/toy is in use by process {first.pid} on ")
    server.go_on.set()
    for process in (first, second):
        said, _ = process.communicate(timeout=60)
        assert (process.returncode, "Traceback" in said) == (0, False), said
    assert raw() == TOY
    assert [path for path, _ in server.asked].count(f"/toy/{NAMES[1]}.gz") == 1


def test_the_command_ends_with_one_sentence(place):
    command = [sys.executable, "-m", "stages.download", "mnits"]
    result = subprocess.run(command, env=environment(PYTHONPATH=str(ROOT)), capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (
        1,
        "error: unknown dataset 'mnits': the catalog has toy, other\n",
    )


def test_digits_need_no_network(place, monkeypatch):
    monkeypatch.setattr(socket.socket, "connect", lambda *args: pytest.fail("connects"))
    monkeypatch.setenv("DATASET_MIRROR", "http://nowhere.invalid")
    Path("data/catalog.yaml").write_bytes((ROOT / "data/catalog.yaml").read_bytes())
    download.main("digits")
    header = Path("data/raw/digits/train-images-idx3-ubyte").read_bytes()[:16]
    assert np.frombuffer(header, ">i4").tolist() == [0x803, 1437, 8, 8]


def test_a_relative_mirror_is_the_project_s(place, tmp_path, monkeypatch, capfd):
    """As an experiment of DVC's has it, which works in a copy of the project."""
    place()
    for name, data in TOY.items():
        (tmp_path / "mine/toy").mkdir(parents=True, exist_ok=True)
        (tmp_path / "mine/toy" / name).write_bytes(data)
    (tmp_path / "copy/data").mkdir(parents=True)
    (tmp_path / "copy/data/catalog.yaml").write_bytes(Path("data/catalog.yaml").read_bytes())
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("DATASET_MIRROR", "mine")
    monkeypatch.chdir("copy")
    download.main("toy")
    assert capfd.readouterr().out.count(f"from DATASET_MIRROR ({tmp_path}/mine/toy)") == 4


@pytest.mark.parametrize("scheme", ["http", "ftp"])
def test_a_password_in_the_mirror_s_address_is_not_printed(place, monkeypatch, capfd, scheme):
    place()
    monkeypatch.setenv("DATASET_MIRROR", f"{scheme}://ann:s3cret@127.0.0.1:9/x?token=s3cret")
    with pytest.raises(UserError, match=rf"{scheme}://127.0.0.1:9/x") as caught:
        download.main("toy")
    assert "s3cret" not in f"{caught.value}{capfd.readouterr()}"


@pytest.mark.skipif("DATASET_MIRROR" not in os.environ, reason="needs the true files: set DATASET_MIRROR")
@pytest.mark.parametrize("dataset", ["mnist", "fashion_mnist"])
def test_the_true_files_are_those_of_the_catalog(tmp_path, monkeypatch, capfd, dataset):
    mirror = os.environ["DATASET_MIRROR"]
    monkeypatch.setenv("DATASET_MIRROR", mirror if "://" in mirror else str(Path(mirror).resolve()))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(paths, "CATALOG", ROOT / "data/catalog.yaml")
    download.main(dataset)
    assert sorted(path.name for path in Path("data/raw", dataset).iterdir()) == sorted(NAMES)
    assert capfd.readouterr().out.count("from DATASET_MIRROR") == 4
