import csv
import io
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from samebits.base.errors import UserError
from samebits.commands import predict
from samebits.inference import asked
from tests.conftest import ROOT, environment
from tests.made.trained import digits


@pytest.fixture(autouse=True)
def _here(monkeypatch):
    monkeypatch.chdir(digits())


@pytest.fixture(scope="module")
def images():
    return load_file(digits() / "data/processed/digits/test.safetensors")["images"]


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def recorded(run="mlp"):
    return [(row["predicted"], row["probability"]) for row in rows(digits() / "predictions/digits" / f"{run}.csv")]


def ask(*arguments, data=None):
    """The command line, as a user has it."""
    line = [sys.executable, "-m", "samebits", "predict", *map(str, arguments)]
    environ = environment(PYTHONPATH=str(ROOT))
    return subprocess.run(line, cwd=digits(), env=environ, input=data, capture_output=True)


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_json_holds_the_bits_of_predictions_csv(images):
    done = ask("digits", "-", "--json", "--top", 10, data=png(images[3]))
    [answer] = json.loads(done.stdout)
    assert (answer["class"], repr(answer["probability"])) == recorded()[3]
    assert (answer["image"], answer["inverted"], len(answer["top"])) == ("standard input", False, 10)
    assert answer["top"][0] == {"class": answer["class"], "probability": answer["probability"]}
    probabilities = [each["probability"] for each in answer["top"]]
    assert probabilities == sorted(probabilities, reverse=True)


def test_a_folder_gives_a_csv_with_the_same_bits(tmp_path, images, capsys):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(9):
        (folder / f"{i}.png").write_bytes(png(images[i]))
    np.save(folder / "rest.npy", images[9:])
    (folder / "notes.txt").write_text("not read")
    predict.main("digits", [str(folder)], csv=tmp_path / "out/answers.csv")
    found = rows(tmp_path / "out/answers.csv")
    assert [(row["predicted"], row["probability"]) for row in found] == recorded()
    assert [row["image"] for row in found][8:10] == [f"{folder}/8.png", f"{folder}/rest.npy[0]"]
    said = capsys.readouterr()
    assert said.out == f"{len(images)} images: {tmp_path}/out/answers.csv\n"
    assert said.err == f"{folder}: passed over 1 file of other kinds (1 .txt)\n"


def test_a_folder_takes_what_can_be_read_and_says_what_it_passed_over(tmp_path, images, capsys):
    for name in ("a.jfif", "b.JPE", "c.webp", "d.bmp", "e.PNG"):
        kind = {".webp": "WEBP", ".bmp": "BMP", ".PNG": "PNG"}.get(Path(name).suffix, "JPEG")
        Image.fromarray(np.kron(images[0], np.ones((9, 9), np.uint8))).save(tmp_path / name, kind)
    for name in ("f.heic", "g.HEIC", "h.gif", "notes", "._a.png", ".DS_Store"):
        (tmp_path / name).write_bytes(b"x")
    for name in ("more", "other.png", ".thumbnails"):
        (tmp_path / name).mkdir()
    predict.main("digits", [str(tmp_path)], as_json=True)
    said = capsys.readouterr()
    assert [Path(answer["image"]).name for answer in json.loads(said.out)] == [
        "a.jfif",
        "b.JPE",
        "c.webp",
        "d.bmp",
        "e.PNG",
    ]
    assert {answer["class"] for answer in json.loads(said.out)} == {recorded()[0][0]}
    assert said.err == (
        f"{tmp_path}: passed over 4 files of other kinds (2 .heic, 1 .gif, 1 no ending) and 2 folders (ask for them by "
        "name)\n"
    )


def test_what_is_unlike_the_training_images_is_not_answered(tmp_path, capsys):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 90), np.uint8))
    noise.save(tmp_path / "noise.png")
    predict.main("digits", [str(tmp_path / "noise.png")], as_json=True, csv=tmp_path / "answers.csv")
    [answer] = json.loads(capsys.readouterr().out)
    assert (answer["class"], answer["probability"]) == (None, None)
    assert "of its border is ink" in answer["doubt"]
    [row] = rows(tmp_path / "answers.csv")
    assert (row["predicted"], row["probability"], row["doubt"]) == ("", "", answer["doubt"])
    predict.main("digits", [str(tmp_path / "noise.png")], csv=tmp_path / "answers.csv")
    assert capsys.readouterr().out == f"1 image: {tmp_path}/answers.csv (1 not answered)\n"
    predict.main("digits", [str(tmp_path / "noise.png")])
    assert capsys.readouterr().out.startswith(f"{tmp_path}/noise.png: not answered, unlike the training images: ")


def test_the_table_in_words(tmp_path, capsys):
    page = Image.new("L", (60, 90), 255)
    page.paste(0, (20, 10, 40, 80))
    page.save(tmp_path / "one.png")
    predict.main("digits", [str(tmp_path / "one.png")], run="scratch", top=2)
    first, second, third = capsys.readouterr().out.splitlines()
    assert first == f"{tmp_path}/one.png: {second.split()[0]} (dark on light: inverted)"
    assert third.split()[2] == "%"
    predict.main("digits", [str(tmp_path / "one.png")], invert=True, as_json=True)
    assert json.loads(capsys.readouterr().out)[0]["inverted"] is True


def test_every_refused_file_is_named_and_nothing_is_written(tmp_path, images):
    (tmp_path / "good.png").write_bytes(png(images[0]))
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(UserError) as refusal:
        predict.main("digits", [str(tmp_path), str(tmp_path / "gone.png")], csv=tmp_path / "out.csv")
    assert str(refusal.value) == (
        f"{tmp_path}/empty.jpg is empty: a picture is wanted; "
        f"{tmp_path}/text.png is neither a PNG nor a JPEG, WebP or BMP, but something else; "
        f"{tmp_path}/gone.png is missing"
    )
    assert not (tmp_path / "out.csv").exists()
    many = [str(tmp_path / f"gone{i}.png") for i in range(8)]
    with pytest.raises(UserError, match=r"gone4.png is missing; and 3 more$"):
        predict.main("digits", many)


def test_other_mistakes_are_sentences(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"is a folder without .png, .jpg, .jpeg, .jpe, .jfif, .webp, .bmp, .npy files"):
        predict.main("digits", [str(tmp_path)])
    monkeypatch.setattr(asked, "LARGEST_FILE", 2**20)
    with pytest.raises(UserError, match=r"^/dev/zero is larger than 1 MiB"):  # which never ends
        predict.main("digits", ["/dev/zero"])


def test_a_mistake_ends_with_one_sentence_and_a_code():
    done = ask("mnist", "x.png")
    assert done.returncode == 1
    assert done.stderr == (
        b"error: models/mnist/mlp/model.safetensors is missing: "
        b"put mnist into `datasets` of params.yaml, then `dvc repro` trains it\n"
    )


def test_a_csv_that_cannot_be_written(images):
    done = ask("digits", "-", "--csv", "/proc/x.csv", data=png(images[0]))
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"error: cannot write /proc/x.csv: no such file or directory\n"


def test_a_damaged_file_that_is_not_the_pipelines_is_not_said_to_be_trained_again(tmp_path):
    (tmp_path / "mine.safetensors").write_bytes(b"x" * 9)
    with pytest.raises(UserError, match=r"is not a whole safetensors file \([^:]*: [^:]*\)$"):
        predict.main("digits", ["x.png"], model=str(tmp_path / "mine.safetensors"))


@pytest.mark.parametrize("to", ["-", "/dev/stdout"])
def test_a_csv_on_standard_output(to):
    one = np.zeros((8, 8), np.uint8)
    one[1:7, 3:5] = 255
    done = ask("digits", "-", "--csv", to, data=png(one))
    assert done.returncode == 0
    assert done.stdout.startswith(b"image,predicted,probability,inverted")
    assert done.stdout.count(b"standard input") == 1
    assert done.stdout.count(b"\n") == 2
    assert stat.S_ISLNK(os.lstat("/dev/stdout").st_mode)


def test_two_documents_in_one_are_refused():
    done = ask("digits", "-", "--csv", "-", "--json", data=b"")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"error: --json and --csv cannot both be written to standard output\n"
