"""Results signed here, and held against other checkouts: real DVC, real keys."""

import base64
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from samebits.base import dvc as ours
from samebits.base.errors import UserError
from samebits.claims import envelope
from tests.conftest import dvc, run
from tests.made.dying import small_project


def key(path, kind="ed25519", *options):
    subprocess.run(
        ["openssl", "genpkey", "-algorithm", kind, *options, "-out", str(path)], check=True, capture_output=True
    )
    return path


def sign(folder, *options, check=True, **changes):
    return run(sys.executable, "-m", "samebits", "sign", *options, cwd=folder, check=check, **changes)


@pytest.fixture(scope="module")
def signed(tmp_path_factory):
    """A project whose results alice signed, and what was said."""
    place = tmp_path_factory.mktemp("signed")
    folder = small_project(place / "samebits")
    said = sign(folder, "--key", str(key(place / "alice.pem")), "--as", "alice").stdout
    run("git", "add", ".", cwd=folder)
    run("git", "commit", "--quiet", "--message", "signed", cwd=folder)
    return folder, said


@pytest.fixture
def here(signed, tmp_path):
    """A copy of it, to be changed."""
    return shutil.copytree(signed[0], tmp_path / "samebits", symlinks=True)


def test_what_was_signed_here_holds_in_a_fresh_clone(signed, tmp_path):
    folder, said = signed
    fresh = tmp_path / "clone"
    run("git", "clone", "--quiet", str(folder), str(fresh), cwd=folder)
    shutil.copytree(folder / ".dvc/cache", fresh / ".dvc/cache")  # as `dvc pull` brings it
    dvc("checkout", cwd=fresh)
    commit = run("git", "rev-parse", "--short=7", "HEAD~1", cwd=folder).stdout.strip()
    places = [fresh / out for out in ("data/raw", "data/processed", "models", "metrics", "predictions", "reports")]
    count = sum(path.is_file() and path.name != ".gitignore" for place in places for path in place.rglob("*"))
    assert said == f"claims/alice.json: {count} files of commit {commit} signed\n"
    assert sign(fresh, "--check").stdout == (
        f"alice signed {count} files of commit {commit}: all are the same here, and so are code and parameters\n"
    )


def test_the_statement_is_in_totos_and_the_signature_openssls_too(signed, tmp_path):
    folder, _ = signed
    sealed = json.loads((folder / "claims/alice.json").read_text())
    payload = base64.b64decode(sealed["payload"])
    stated = json.loads(payload)
    assert (stated["_type"], sealed["payloadType"]) == (
        "https://in-toto.io/Statement/v1",
        "application/vnd.in-toto+json",
    )
    assert all(set(each) == {"name", "digest"} and len(each["digest"]["sha256"]) == 64 for each in stated["subject"])
    (tmp_path / "signed").write_bytes(b"DSSEv1 28 application/vnd.in-toto+json %d %s" % (len(payload), payload))
    (tmp_path / "signature").write_bytes(base64.b64decode(sealed["signatures"][0]["sig"]))
    line = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", folder / "claims/keys/alice.pem", "-rawin"]
    line += ["-in", tmp_path / "signed", "-sigfile", tmp_path / "signature"]
    assert b"Success" in subprocess.run(line, check=True, capture_output=True).stdout


def test_one_byte_of_one_output_is_named(here):
    path = here / "models/digits/mlp/model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    done = sign(here, "--check", check=False)
    assert done.returncode == 1
    assert "NOT all as they are here: models/digits/mlp/model.safetensors is another file here\n" in done.stdout
    refused = sign(here, "--key", str(key(here.parent / "bob.pem")), "--as", "bob", check=False)
    assert "error: models/digits/mlp/model.safetensors is missing, or is not what dvc.lock says: run" in refused.stderr


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda at: (at / "metrics/digits/mlp.json").unlink(),
            "metrics/digits/mlp.json is missing here (`samebits",
        ),
        (lambda at: (at / "reports/more").write_text("x"), "reports/more is here, and was not signed"),
        (
            lambda at: (at / "samebits/exact/random.py").open("a").write("\n"),
            "samebits/exact/random.py is another file here",
        ),
        (
            lambda at: (at / "dvc.lock").write_text((at / "dvc.lock").read_text().replace("lr: 0.1", "lr: 0.2")),
            "is {'seeds': 1, 'epochs': 1, 'batch_size': 256, 'lr': 0.2,",
        ),
    ],
)
def test_whatever_else_is_otherwise_is_named(here, change, said):
    change(here)
    done = sign(here, "--check", check=False)
    assert done.returncode == 1
    assert said in done.stdout


def test_a_claim_that_somebody_changed_or_another_signed_is_refused(here):
    path = here / "claims/alice.json"
    good = json.loads(path.read_text())
    other = base64.b64encode(base64.b64decode(good["payload"]).replace(b"models", b"modelz")).decode()
    path.write_text(json.dumps(good | {"payload": other}))
    assert "error: claims/alice.json was changed after it was signed" in sign(here, "--check", check=False).stderr
    path.write_text(json.dumps(good))
    keys = envelope.private_key(key(here.parent / "mallory.pem")).public_key()
    (here / "claims/keys/alice.pem").write_text(envelope.pem(keys))
    done = sign(here, "--check", check=False)
    assert done.returncode == 1
    assert f"error: claims/alice.json was signed by another key, {good['signatures'][0]['keyid']}" in done.stderr
    mallory = sign(here, "--key", str(here.parent / "mallory.pem"), "--as", "alice", check=False)
    assert mallory.returncode == 1  # what differs is not committed


def test_what_is_not_committed_is_not_signed(here):
    (here / "README.md").open("a").write("\n")
    done = sign(here, "--key", str(key(here.parent / "bob.pem")), "--as", "bob", check=False)
    assert "error: what is signed is a commit: commit what differs from it first" in done.stderr
    assert not (here / "claims/bob.json").exists()
    assert not (here / "claims/keys/bob.pem").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "to sign, give --key FILE and --as NAME; to look at what was signed, --check"),
        (("--key", "gone.pem", "--as", "bob"), "there is no key gone.pem: `openssl genpkey -algorithm ed25519"),
        (("--key", "rsa.pem", "--as", "bob"), "rsa.pem is a key of another kind than ed25519"),
        (("--key", "README.md", "--as", "bob"), "README.md is no private key in PEM"),
        (("--key", "other.pem", "--as", "alice"), "claims/keys/alice.pem is another key: sign with the one that"),
        (("--key", "rsa.pem", "--as", "Bob"), "--as is 'Bob', but it should be made of a-z, 0-9 and _"),
        (("--check", "--as", "carol"), "claims/carol.json is missing: carol has signed nothing here"),
    ],
)
def test_bad_input_is_a_sentence(here, options, said):
    key(here / "rsa.pem", "RSA")
    key(here / "other.pem")
    done = sign(here, *options, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {said}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"payload": 3, "payloadType": "x", "signatures": []}', "<html>"])
def test_a_file_that_is_no_claim_is_a_sentence(here, text):
    (here / "claims/alice.json").write_text(text)
    done = sign(here, "--check", check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: claims/alice.json is no")
    assert "Traceback" not in done.stderr


def test_a_passphrase_comes_from_the_environment_alone(tmp_path, monkeypatch):
    path = key(tmp_path / "key.pem", "ed25519", "-aes256", "-pass", "pass:open sesame")
    monkeypatch.delenv(envelope.PASSPHRASE, raising=False)
    with pytest.raises(UserError, match="has a passphrase, to be given in SIGNING_PASSPHRASE"):
        envelope.private_key(path)
    monkeypatch.setenv(envelope.PASSPHRASE, "close sesame")
    with pytest.raises(UserError, match="or SIGNING_PASSPHRASE is not its passphrase") as error:
        envelope.private_key(path)
    assert "sesame" not in str(error.value)
    monkeypatch.setenv(envelope.PASSPHRASE, "open sesame")
    assert envelope.private_key(path)


def test_our_hash_of_an_output_is_dvcs(here, monkeypatch):
    monkeypatch.chdir(here)
    from samebits.base import lockfile

    outs = [out for stage in lockfile.read().values() for out in stage.outs]
    here = [out for out in outs if "digits" in out.path or out.path == "reports"]
    assert any(out.md5.endswith(".dir") for out in here)
    assert all(ours.md5_of(Path(out.path)) == out.md5 for out in here)
