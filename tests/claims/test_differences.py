import hashlib
import json

import pytest

from samebits.claims.differences import Difference, between, explain, origins_that_differ


def md5(content):
    return hashlib.md5(content).hexdigest()


def out(path, content=b"", **more):
    return {"path": path, "hash": "md5", "md5": md5(content), "size": len(content), **more}


def entry(*outs, code=b"", lr=0.1, cmd="python -m samebits.learning.run"):
    deps = [out("samebits/learning/run.py", code), out("data/digits", b"whatever")]
    return {"cmd": cmd, "deps": deps, "params": {"params.yaml": {"scratch": {"lr": lr}}}, "outs": list(outs)}


MODEL = entry(out("models/history.csv"), out("models/model.safetensors"))


def test_equal_locks_do_not_differ():
    assert not list(between({"train": MODEL}, {"train": MODEL}))


def test_stages_that_were_not_run_do_not_count():
    assert not list(between({"train": MODEL, "report": entry(out("reports"))}, {"train": MODEL}))


def test_differences_come_in_the_order_of_the_run_and_tensors_first():
    recorded = {"evaluate": entry(out("metrics.json", b"1")), "train": MODEL}
    fresh = {
        "train": entry(*(out(f"models/{name}", b"2") for name in ("chain.csv", "history.csv", "model.safetensors"))),
        "evaluate": entry(out("metrics.json", b"2")),
    }
    found = [(difference.stage, difference.path) for difference in between(recorded, fresh)]
    assert found == [
        ("train", "models/model.safetensors"),
        ("train", "models/history.csv"),
        ("train", "models/chain.csv"),
        ("evaluate", "metrics.json"),
    ]


@pytest.mark.parametrize("change", [{"md5": md5(b"other")}, {"size": 7}])
def test_hash_and_size_count(change):
    assert list(between({"train": entry(out("a"))}, {"train": entry(out("a", **change))}))


def test_an_output_on_one_side_only_is_a_difference(tmp_path):
    (gone,) = between({"train": entry(out("a"))}, {"train": entry()})
    (new,) = between({"train": entry()}, {"train": entry(out("a"))})
    assert explain(gone, tmp_path, tmp_path, tmp_path) == "a, which is an output in dvc.lock only"
    assert explain(new, tmp_path, tmp_path, tmp_path) == "a, which is an output here only"


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({}, []),
        ({"code": b"x"}, ["samebits/learning/run.py"]),
        ({"lr": 0.2}, ["scratch in params.yaml"]),
        ({"cmd": "true"}, ["the command `python -m samebits.learning.run`", "the command `true`"]),
    ],
)
def test_other_code_parameters_and_commands_are_named(other, named):
    assert origins_that_differ({"train": entry(**other)}, {"train": entry()}) == named


@pytest.mark.parametrize("made", ["data/digits", "data", "data/digits/train.safetensors"])
def test_what_the_pipeline_makes_is_no_origin(made):
    recorded, fresh = entry(), entry()
    recorded["deps"] = [*recorded["deps"][:1], out("data/digits", b"another")]
    assert origins_that_differ({"train": recorded}, {"train": fresh}) == ["data/digits"]
    fresh["outs"] = [out(made)]
    assert origins_that_differ({"train": recorded}, {"train": fresh}) == []


@pytest.fixture
def places(tmp_path):
    """Where files are: what dvc.lock names in the checkout or the cache, what was made here."""
    folders = [tmp_path / name for name in ("checkout", "here", "cache")]
    for folder in folders:
        folder.mkdir()
    return folders


def put(folder, path, content):
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(content)


def keep(cache, content, suffix=""):
    put(cache, f"files/md5/{md5(content)[:2]}/{md5(content)[2:]}{suffix}", content)


OLD, NEW = b"a,b\n1,2\n", b"a,b\n1,3\n"
FILE = Difference("train", "run/history.csv", out("run/history.csv", OLD), out("run/history.csv", NEW))
CELL = "run/history.csv: line 2, column b: 2 in dvc.lock, 3 here"


def test_the_recorded_file_is_found_in_the_checkout(places):
    put(places[0], FILE.path, OLD)
    put(places[1], FILE.path, NEW)
    assert explain(FILE, *places) == CELL


def test_the_recorded_file_is_found_in_the_cache_where_the_checkout_has_another(places):
    put(places[0], FILE.path, b"something else")
    put(places[1], FILE.path, NEW)
    keep(places[2], OLD)
    assert explain(FILE, *places) == CELL


def test_without_the_recorded_file_the_hashes_are_named(places):
    put(places[0], FILE.path, b"something else")
    put(places[1], FILE.path, NEW)
    said = explain(FILE, *places)
    assert said.startswith(f"run/history.csv: MD5 {md5(OLD)} (8 bytes) in dvc.lock, {md5(NEW)} (8 bytes) here; ")
    assert "`dvc pull`" in said


def folder(**files):
    content = json.dumps([{"md5": md5(data), "relpath": name} for name, data in files.items()]).encode()
    return content, out("run", content, md5=f"{md5(content)}.dir")


def test_the_file_in_a_folder_is_named(places):
    listing, recorded = folder(history=b"", table=OLD)
    put(places[1], "run/history", b"")
    put(places[1], "run/table", NEW)
    keep(places[2], listing, ".dir")
    difference = Difference("train", "run", recorded, folder(history=b"", table=NEW)[1])
    assert "run/table: MD5 " in explain(difference, *places)
    assert "`dvc pull`" in explain(difference, *places)
    keep(places[2], OLD)
    assert explain(difference, *places) == f"run/table: MD5 {md5(OLD)} in dvc.lock, {md5(NEW)} here"


def test_a_file_missing_from_a_folder_or_added_to_it_is_named(places):
    listing, recorded = folder(gone=b"", same=b"")
    put(places[1], "run/same", b"")
    keep(places[2], listing, ".dir")
    difference = Difference("train", "run", recorded, folder(same=b"")[1])
    assert explain(difference, *places) == "run/gone, which is in dvc.lock only"
    put(places[1], "run/gone", b"")
    put(places[1], "run/added", b"")
    assert explain(difference, *places) == "run/added, which is here only"


def test_a_folder_whose_listing_is_not_here_is_named_by_its_hashes(places):
    difference = Difference("train", "run", folder(a=OLD)[1], folder(a=NEW)[1])
    assert "run: MD5 " in explain(difference, *places)
    assert "`dvc pull`" in explain(difference, *places)
