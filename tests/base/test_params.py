import re
from pathlib import Path

import pytest

from samebits.base.errors import UserError
from samebits.base.params import Params, load

TEXT = Path("params.yaml").read_text()


def load_text(tmp_path, text):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    return load(path)


def edit(block, key, value):
    """Set one key of one block, by text, as a user's editor would."""
    head, body = re.split(rf"(?m)^{block}:.*\n", TEXT)
    body, count = re.subn(rf"(?m)^  {key}:.*$", f"  {key}: {value}", body, count=1)
    assert count == 1
    return f"{head}{block}:\n{body}"


def test_the_defaults_are_the_notes(tmp_path):
    params = load(Path("params.yaml"))
    assert params.datasets == ["fashion_mnist", "mnist"]
    assert (params.scratch.epochs, params.scratch.batch_size, params.scratch.lr) == (20, 256, 0.1)
    assert (params.concise.epochs, params.concise.batch_size, params.concise.lr) == (10, 256, 0.1)
    assert params.scratch.init_std == params.concise.init_std == 0.01
    assert (params.mlp.epochs, params.mlp.batch_size, params.mlp.lr, params.mlp.momentum) == (9, 64, 0.01, 0.5)
    assert params.mlp.hidden == [520, 320, 240, 120]
    assert params.preprocess.validation_size == 0


def test_a_number_of_seeds_stands_for_the_first_ones(tmp_path):
    assert load_text(tmp_path, edit("mlp", "seeds", "4")).mlp.seeds == [0, 1, 2, 3]
    assert load_text(tmp_path, edit("mlp", "seeds", "[7, 3]")).mlp.seeds == [7, 3]


@pytest.mark.parametrize(
    ("block", "key", "value", "said"),
    [
        ("scratch", "lr", "-1", "scratch.lr is -1, but it should be greater than 0"),
        ("concise", "epochs", "0", "concise.epochs is 0, but it should be greater than or equal to 1"),
        ("mlp", "batch_size", '"many"', "mlp.batch_size is 'many', but it should be a valid integer"),
        ("mlp", "momentum", "1", "mlp.momentum is 1, but it should be less than 1"),
        ("mlp", "lr", ".nan", "mlp.lr is nan"),
        ("mlp", "epochs", "9.5", "mlp.epochs is 9.5, but it should be a valid integer"),
        ("mlp", "epochs", "true", "mlp.epochs is true, but it should be a valid integer"),
        ("mlp", "seeds", "[]", "mlp.seeds is []"),
        ("mlp", "seeds", "0", "mlp.seeds is 0, but a number of seeds is between 1 and 1000; for one certain seed"),
        ("mlp", "seeds", "1001", "mlp.seeds is 1001, but a number of seeds is between 1 and 1000"),
        ("mlp", "seeds", "true", "mlp.seeds is true, but it should be a valid list"),
        ("mlp", "seeds", "[1, 1]", "mlp.seeds is [1, 1], but each value may appear only once"),
        ("scratch", "hidden", "[10]", "scratch.hidden is [10]"),
        ("preprocess", "validation_size", "-5", "preprocess.validation_size is -5"),
    ],
)
def test_an_impossible_value_is_named_with_its_key(tmp_path, block, key, value, said):
    with pytest.raises(UserError, match=re.escape(said)):
        load_text(tmp_path, edit(block, key, value))


def test_a_misspelt_key_is_named_with_those_allowed(tmp_path):
    with pytest.raises(UserError, match=r"mlp\.momentun is an unknown key; allowed here: seeds, epochs, .*momentum"):
        load_text(tmp_path, TEXT.replace("  momentum: 0.5", "  momentun: 0.5"))
    with pytest.raises(UserError, match=r"dataset is an unknown key; allowed here: datasets, networks, arithmetic"):
        load_text(tmp_path, TEXT + "dataset: mnist\n")


def test_a_missing_key_is_named(tmp_path):
    with pytest.raises(UserError, match=r"mlp\.momentum is missing"):
        load_text(tmp_path, TEXT.replace("  momentum: 0.5", ""))


@pytest.mark.parametrize("datasets", ["[]", "[mnist, mnist]", "[fashion-mnist]", "mnist", "[1]"])
def test_datasets_must_be_distinct_names_that_dvc_cannot_confuse(tmp_path, datasets):
    with pytest.raises(UserError, match="datasets"):
        load_text(tmp_path, re.sub(r"(?m)^datasets:.*$", f"datasets: {datasets}", TEXT))


@pytest.mark.parametrize("text", ["", "[1, 2]", "a: [", "\x00", "datasets: [mnist]\ndatasets: [digits]\n"])
def test_a_file_that_is_not_params_at_all_is_one_sentence(tmp_path, text):
    with pytest.raises(UserError) as error:
        load_text(tmp_path, text)
    assert "params.yaml" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "",
            "the file is empty, but it should hold the keys datasets, networks, arithmetic, preprocess, scratch, "
            "concise, mlp",
        ),
        ("[1]", "the file is [1], but it should hold the keys datasets,"),
        (re.sub(r"(?m)^mlp:.*\n(  .*\n)*", "mlp:\n", TEXT), "mlp is null, but it should hold the keys seeds, epochs,"),
        (edit("mlp", "lr", "null"), "mlp.lr is null, but it should be a valid number"),
        (edit("mlp", "lr", "[1"), "is not valid YAML: line "),
        (f"{TEXT}mlp: 3\n", 'the key "mlp" is there twice: leave one'),
        (TEXT.replace("fashion_mnist,", "fashion-mnist,"), "datasets.0 is 'fashion-mnist', but it should be made of"),
    ],
)
def test_messages_are_in_words_and_say_nothing_of_a_library(tmp_path, text, said):
    with pytest.raises(UserError, match=re.escape(said)) as error:
        load_text(tmp_path, text)
    assert not re.search(r"None|instance|dictionary|pattern|https?:|\n", str(error.value))


def test_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^params.yaml is missing: run from the folder that holds dvc.yaml$"):
        load()
    Path("dvc.yaml").touch()
    with pytest.raises(UserError, match=r"^params.yaml is missing: `git restore params.yaml` brings it back$"):
        load()


def test_numbers_are_read_as_dvc_reads_them(tmp_path):
    assert load_text(tmp_path, edit("scratch", "lr", "1e-3")).scratch.lr == 0.001
    assert load_text(tmp_path, edit("scratch", "lr", "1")).scratch.lr == 1


def test_an_unknown_run(tmp_path):
    params: Params = load(Path("params.yaml"))
    with pytest.raises(UserError, match="unknown run 'conv': it must be one of scratch, concise, mlp"):
        params.training("conv")


NETWORK = "{seeds: 2, epochs: 1, batch_size: 8, lr: 0.1, optimizer: SGD}"


def with_networks(names, blocks=""):
    return re.sub(r"(?m)^networks:.*$", f"networks: [{names}]", TEXT) + blocks


def more(line):
    return f"a: {NETWORK.removesuffix('}')}, {line}}}\n"


def test_a_network_of_ones_own_has_a_block(tmp_path):
    params = load_text(tmp_path, with_networks("a", f"a: {NETWORK}\n"))
    assert params.runs == ["scratch", "concise", "mlp", "a"]
    assert params.block("a") is params.network("a")
    assert params.network("a").rates == {"lr": 0.1}
    text = "{seeds: 2, epochs: 1, batch_size: 8, lr: 0.1, optimizer: Adam, betas: [0.8, 0.9], eps: 1e-6}"
    assert load_text(tmp_path, with_networks("a", f"a: {text}\n")).network("a").rates == {
        "lr": 0.1, "betas": (0.8, 0.9), "eps": 1e-6,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("names", "blocks", "said"),
    [
        ("a", "", "a is missing"),
        ("", f"a: {NETWORK}\n", "a is an unknown key"),
        ("a, a", f"a: {NETWORK}\n", "networks is ['a', 'a'], but each value may appear only once"),
        ("scratch", "", "'scratch' is the name of something else: give the network another"),
        ("datasets", "", "'datasets' is the name of something else"),
        ("runs", f"runs: {NETWORK}\n", "'runs' is the name of something else"),
        ("my-net", f"my-net: {NETWORK}\n", "networks.0 is 'my-net', but it should be made of a-z, 0-9 and _"),
        ("../a", "", "networks.0 is '../a', but it should be made of a-z, 0-9 and _"),
        ("1a", "", "networks.0 is '1a', but it should be made of a-z, 0-9 and _, with a letter first"),
        ("a", "a: 3\n", "a is 3, but it should hold the keys seeds, epochs,"),
        ("a", f"a: {NETWORK.replace('SGD', 'RMSprop')}\n", "a.optimizer is 'RMSprop', but it should be 'SGD', 'Adam'"),
        (
            "a",
            more("betas: [0.9, 0.99]"),
            "SGD has no betas; it has lr, momentum, dampening",
        ),
        (
            "a",
            more("nesterov: true"),
            "nesterov needs a momentum above 0 and no dampening",
        ),
        ("a", more("hidden: [3]"), "a.hidden is an unknown key; allowed here: seeds,"),
        ("a", more("options: {depth: [3]}"), "a.options.depth"),
    ],
)
def test_networks_that_are_none(tmp_path, names, blocks, said):
    with pytest.raises(UserError, match=re.escape(said)) as error:
        load_text(tmp_path, with_networks(names, blocks))
    assert "\n" not in str(error.value)
