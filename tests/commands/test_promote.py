import pytest
from mlflow import MlflowClient

from samebits.base.errors import UserError
from samebits.base.files import read_json, sha256, write_json
from samebits.commands import promote
from samebits.datasets.catalog import Table
from samebits.tracking import promoting, publishing, registry
from samebits.tracking import store as store_room
from samebits.tracking.address import address
from samebits.tracking.connection import UnavailableError
from samebits.tracking.record import Published
from tests.conftest import ROOT
from tests.made.described import describe_model
from tests.made.finished import empty_store, project

SEEDS = (0, 1)


def a_run(key="k", seeds=2, test=0.8, validation=None, parameters=10):
    metrics = {"test_accuracy": test} | ({} if validation is None else {"validation_accuracy": validation})
    tags = {"seeds": str(seeds), store_room.KEY: key, "run": "mlp"}
    return Published(key, tags, {"parameters": str(parameters)}, metrics)


@pytest.mark.parametrize(
    ("runs", "key", "by"),
    [
        ([a_run("a", test=0.9), a_run("b", test=0.8)], "a", "test_accuracy"),
        ([a_run("a", test=0.9, seeds=1), a_run("b", test=0.8)], "b", "test_accuracy"),
        ([a_run("a", test=0.9, validation=0.7), a_run("b", test=0.8, validation=0.8)], "b", "validation_accuracy"),
        ([a_run("a", test=0.9), a_run("b", test=0.8, validation=0.1)], "b", "validation_accuracy"),
        ([a_run("a", parameters=11), a_run("b")], "b", "test_accuracy"),
        ([a_run("b"), a_run("a")], "a", "test_accuracy"),
    ],
)
def test_the_best(runs, key, by):
    chosen, decided = promoting.best("digits", runs)
    assert (chosen.run_id, decided) == (key, by)


@pytest.mark.parametrize(
    ("runs", "reason"), [([], "digits has no published run with a model: "), ([a_run(seeds=1)], "every published run ")]
)
def test_nothing_to_promote(runs, reason):
    with pytest.raises(UserError, match=f"^{reason}"):
        promoting.best("digits", runs)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    project(tmp_path, "digits", seeds=SEEDS)
    (tmp_path / "data/catalog.yaml").write_text((ROOT / "data/catalog.yaml").read_text())
    empty_store(tmp_path)
    return tmp_path


def test_promoting_fetching_and_promoting_again(folder, capsys):
    files = {run: describe_model(folder, "digits", run, SEEDS) for run in ("scratch", "concise", "mlp")}
    publishing.publish()
    capsys.readouterr()
    for _ in range(2):
        promote.main(None)
        line = "models:/samebits-digits@champion is version 1: mlp, test accuracy 0.9000, the mean of 2 seeds\n"
        assert capsys.readouterr().out == line
    client = MlflowClient(tracking_uri=address())
    (version,) = client.search_model_versions("name = 'samebits-digits'")
    assert version.tags["model_sha256"] == sha256(files["mlp"])
    assert version.description is not None
    for words in ("since no run held validation images out", sha256(files["mlp"]), "0.8700 to 0.9300", "CC BY 4.0"):
        assert words in version.description
    for uri in ("models:/samebits-digits@champion", "models:/samebits-digits/1"):
        assert sha256(registry.fetch(uri, folder / "fetched")) == sha256(files["mlp"])

    # A better one comes; the old version stays, the alias moves.
    metrics = folder / "metrics/digits/scratch.json"
    results = read_json(metrics)
    results["test"]["accuracy"]["mean"] = 0.95
    write_json(metrics, results)
    publishing.publish()
    promote.main(["digits"])
    assert "is version 2: scratch, test accuracy 0.9500" in capsys.readouterr().out
    assert sha256(registry.fetch("models:/samebits-digits/1", folder / "old")) == sha256(files["mlp"])
    champion = registry.fetch("models:/samebits-digits@champion", folder / "new")
    assert sha256(champion) == sha256(files["scratch"])

    for stored in (folder / "mlartifacts/models").rglob("model.safetensors"):
        stored.write_bytes(b"another")
    with pytest.raises(UserError, match="is not the file that was registered"):
        registry.fetch("models:/samebits-digits@champion", folder / "spoilt")


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("models:/nothing@champion", "has no models:/nothing@champion: `make promote` registers a model$"),
        ("models:/nothing/3", "has no models:/nothing/3: `make promote` registers a model$"),
        ("models:/nothing", "names no registered model: it must be models:/NAME@ALIAS or models:/NAME/VERSION$"),
    ],
)
def test_a_model_that_the_registry_does_not_have(folder, uri, reason):
    with pytest.raises(UserError, match=reason):
        registry.fetch(uri, folder)


def test_who_only_asks_makes_no_store(folder):
    for file in folder.glob("mlflow.db*"):
        file.unlink()
    with pytest.raises(UserError, match=r"/mlflow.db has no models:/samebits-digits@champion: `make promote`"):
        registry.fetch("models:/samebits-digits@champion", folder)
    with pytest.raises(UserError, match=r"^digits has no published run with a model"):
        promote.main(None)
    assert not list(folder.glob("mlflow.db*"))


def test_a_registry_that_is_not_there(folder, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(UnavailableError, match=r"cannot be reached$"):
        registry.fetch("models:/samebits-digits@champion", folder)


def test_a_dataset_without_a_model(folder):
    with pytest.raises(UserError, match=r"^digits has no published run with a model"):
        promote.main(["digits"])


def test_the_card_of_a_table_without_licence():
    entry = Table(
        title="Otto",
        format="table",
        path="otto.csv",
        sha256="0" * 64,
        label="y",
        test_share=0.2,
        classes=["a", "b"],
        image=[1, 93],
    )
    metrics = dict.fromkeys(["test_accuracy", "test_accuracy_std", "test_loss"], 0.5)
    metrics |= {"test_accuracy_ci95_low": 0.4, "test_accuracy_ci95_high": 0.6}
    tags = {"seeds": "2", "run": "mlp", "dataset_digest": "d1", "model_sha256": "m1"}
    chosen = Published("k", tags, {"parameters": "10", "resize": "None", "arithmetic": "exact 2"}, metrics)
    card = promoting.card(entry, chosen, "test_accuracy")
    assert "uint8 [N, 1, 93], rows scaled as in the\ndataset; answers with one of 2 classes: a, b." in card
    assert "\nOtto. Digest of the arrays `d1`." in card
