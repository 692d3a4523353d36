"""Networks of one's own through the real dvc.yaml, run by the real DVC on `digits`: none, one, two, and one again."""

import json
import shutil

import pytest

from tests.conftest import ROOT, dvc, make_checkout, run
from tests.stages.test_pipeline import set_param, stale

BLOCK = "{seeds: 2, epochs: 1, batch_size: 256, lr: 0.1, optimizer: SGD}"
NETWORK = '''"""Softmax regression."""


def network(nn, image, classes):
    height, width = image
    return nn.Sequential(nn.Flatten(), nn.Linear(height * width, classes))
'''
QUICK = [("epochs: 20", "epochs: 1"), ("epochs: 10", "epochs: 1"), ("epochs: 9", "epochs: 1")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkout with two networks, evaluated: the report and its cost are test_pipeline's."""
    folder = make_checkout(tmp_path_factory.mktemp("networks") / "samebits")
    for old, new in QUICK:
        set_param(folder, old, new)
    for name in "ab":
        (folder / f"networks/{name}.py").write_text(NETWORK)
        with (folder / "params.yaml").open("a") as file:
            file.write(f"\n{name}: {BLOCK}\n")
    name_networks(folder, "a, b")
    evaluated(folder)
    return folder


def name_networks(folder, names):
    path = folder / "params.yaml"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(f"networks: [{names}]\n" if line.startswith("networks:") else line for line in lines))


def without_block(folder, name):
    path = folder / "params.yaml"
    path.write_text(path.read_text().replace(f"\n{name}: {BLOCK}\n", ""))


def evaluated(folder):
    return dvc("repro", "evaluate@digits", cwd=folder).stdout


def outputs(folder):
    """All but the report, which was not asked for."""
    files = [file for top in ("models", "metrics", "predictions") for file in (folder / top).rglob("*.*")]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files if file.name != ".gitignore"}


def of(folder, name):
    """The outputs that are a network's."""
    return sorted(path for path in outputs(folder) if f"/{name}/" in path or f"/{name}." in path or f"/{name}_" in path)


def test_every_output_of_each_is_there(folder):
    for name in "ab":
        assert of(folder, name) == [
            f"metrics/digits/network_tables/{name}_classes.csv",
            f"metrics/digits/network_tables/{name}_confusion.csv",
            f"metrics/digits/networks/{name}.json",
            f"models/digits/{name}/chain.csv",
            f"models/digits/{name}/history.csv",
            f"models/digits/{name}/model.safetensors",
            f"predictions/digits/networks/{name}.csv",
        ]
    comparison = json.loads((folder / "metrics/digits/comparison.json").read_text())
    assert list(comparison["model_sha256"]) == ["scratch", "concise", "mlp", "a", "b"]
    assert run("git", "status", "--porcelain", "models", "metrics", "predictions", cwd=folder).stdout == ""
    shown = json.loads(dvc("metrics", "show", "--json", cwd=folder).stdout)[""]["data"]
    assert "metrics/digits/networks/a.json" in shown


def test_an_edited_network_makes_itself_stale_alone(folder):
    file = folder / "networks/a.py"
    file.write_text(NETWORK.replace("Softmax", "Plain softmax"))
    try:
        assert stale(folder) == {"train-network@digits-a"}
        said = evaluated(folder)
        assert "'train-network@digits-a'" in said
        assert "Running stage 'evaluate" not in said, "the same bytes came out"
        file.write_text(NETWORK.replace("nn.Flatten(),", "nn.Flatten(), nn.LayerNorm(64),"))
        said = evaluated(folder)
        assert "Running stage 'evaluate" in said
        assert "Running stage 'train-network@digits-b" not in said
    finally:
        file.write_text(NETWORK)
        evaluated(folder)


def test_a_file_that_is_no_network_is_one_sentence_and_leaves_the_outputs(folder):
    before, file = outputs(folder), folder / "networks/a.py"
    file.write_text(NETWORK.replace("nn.Flatten(),", "nn.Flatten(), nn.GELU(),"))
    try:
        failed = dvc("repro", "evaluate@digits", cwd=folder, check=False)
    finally:
        file.write_text(NETWORK)
    assert failed.returncode != 0
    assert "networks/a.py line 6: exact arithmetic has no GELU: there are" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert outputs(folder) == before


def test_a_network_that_is_no_longer_named_leaves_nothing(folder):
    """Last, for it takes them away."""
    (folder / "models/digits/mine").mkdir()
    (folder / "models/digits/mine/notes.txt").write_text("kept")
    for names, gone in (("a", "b"), ("", "a")):
        name_networks(folder, names)
        without_block(folder, gone)
        said = evaluated(folder)
        assert f"removed models/digits/{gone}: {gone} is not among the networks of params.yaml" in said
        assert not list(folder.glob(f"m*/digits/**/{gone}*"))
        assert not list(folder.glob(f"predictions/digits/**/{gone}*"))
    assert (folder / "models/digits/mine/notes.txt").is_file()
    shutil.rmtree(folder / "models/digits/mine")
    assert of(folder, "mlp")
    assert (ROOT / "networks/lenet.py").is_file()
