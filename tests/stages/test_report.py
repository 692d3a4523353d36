import json
import re
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from dvc_render.vega import VegaRenderer

from samebits.base.errors import UserError
from samebits.base.files import read_json, write_json
from samebits.base.params import RUNS, load
from samebits.outcome.leftovers import prune, prune_runs
from samebits.outcome.reader import read_data, read_dataset, read_run
from samebits.report import charts, notes, tables
from samebits.report.lessons import charts as lesson_charts
from samebits.report.lessons import printed
from stages import report
from tests.conftest import ROOT, run
from tests.made import finished as made
from tests.made.finished import CLASSES, LABELS, finish, predict, project

DATASETS = ["mnist", "digits"]


def finished(folder, datasets=DATASETS, seeds=(0,)):
    """A project whose stages before the report are done, with four test images."""
    folder.mkdir()
    project(folder, *datasets, seeds=seeds)
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.delenv("DVC_STAGE", raising=False)
    monkeypatch.chdir(finished(tmp_path / "project"))
    return tmp_path / "project"


class Page(HTMLParser):
    """Every start tag of the page with its attributes, and the page's text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += f"{data} "

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A project with its report, to look at only."""
    folder = finished(tmp_path_factory.mktemp("report") / "project")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DVC_STAGE", raising=False)
        patch.chdir(folder)
        report.main()
    return folder


@pytest.fixture(scope="module")
def page(built):
    return Page((built / "reports/index.html").read_text(encoding="utf-8"))


def test_page_and_summary_show_the_metrics(page, built):
    summary = (built / "reports/summary.md").read_text(encoding="utf-8")
    for dataset in DATASETS:
        for name in RUNS:
            metrics = read_json(built / f"metrics/{dataset}/{name}.json")
            accuracy, sha256 = f"{100 * metrics['test']['accuracy']['mean']:.2f} %", metrics["model_sha256"]
            row = f"| {name} | {accuracy} | 0.1250 | 195 | {3 if name == 'scratch' else 2} | 1 | `{sha256[:8]}` |"
            assert row in summary
            assert page.text.count(accuracy) >= 2 * len(DATASETS)
            assert {"title": sha256} in page.all("code")
    assert "95 %" not in summary
    assert "range" not in summary


@pytest.mark.parametrize(
    ("identical", "verdict", "sentence"),
    [
        (True, "✓ the same bits", "end in the same bits (`5a5a5a5a`)"),
        (False, "✗ not the same bits", "differ by up to 0.25"),
    ],
)
def test_the_verdict_of_the_shared_start_is_shown(tmp_path, monkeypatch, identical, verdict, sentence):
    monkeypatch.chdir(finished(tmp_path / "project", ["digits"]))
    start = {"identical": identical, "largest_difference": 0.25, "sha256": {"scratch": "5a" * 32, "concise": "5b" * 32}}
    write_json(Path("metrics/digits/shared_start.json"), start)
    report.main()
    assert verdict in Path("reports/index.html").read_text(encoding="utf-8")
    assert sentence in Path("reports/summary.md").read_text(encoding="utf-8")


def test_several_seeds_come_with_their_interval(tmp_path, monkeypatch):
    monkeypatch.chdir(finished(tmp_path / "project", ["digits"], seeds=(0, 4)))
    report.main()
    summary = Path("reports/summary.md").read_text(encoding="utf-8")
    assert "| mlp | 90.00 % [87.00 %, 93.00 %] | 90.00 % to 91.00 % | 0.1250 | 195 | 2 | 2 |" in summary
    assert "Student's t" in summary
    text = words(Path("reports/index.html"))
    assert "90.00 % [87.00 %, 93.00 %] 90.00 % to 91.00 % 0.1250" in text
    assert "by Student's t over the seeds" in text
    assert "mean of 2 seeds" in text
    assert "bands reach from the least to the most" in text


PLAIN = str.maketrans("\N{MINUS SIGN}\N{EN DASH}\N{RIGHT SINGLE QUOTATION MARK}", "--'")


def words(path):
    """The text of a page, or of a summary as it stands, in characters that a keyboard has."""
    text = path.read_text(encoding="utf-8")
    return (" ".join(Page(text).text.split()) if path.suffix == ".html" else text).translate(PLAIN)


def test_runs_are_compared_in_pairs(tmp_path, monkeypatch):
    monkeypatch.chdir(finished(tmp_path / "project", ["digits"], seeds=(0, 5)))
    report.main()
    text = words(Path("reports/index.html"))
    assert "concise - scratch +2.00 [-1.00, +5.00] -0.1250 [-0.1550, -0.0950] 2 first weights and order of" in text
    assert "mlp - concise +8.00 [+5.00, +11.00] -0.1250 [-0.1550, -0.0950] 2 order of images" in text
    assert "scratch, mlp 2 to 3 5 0.453 2" in text
    assert (
        "| Digits | mlp - concise | order of images | 2 | +8.00 [+5.00, +11.00] | -0.1250 [-0.1550, -0.0950] "
        "| 2 to 3 | 5 | 0.453 |\n"
    ) in words(Path("reports/summary.md"))


def test_one_seed_is_compared_without_an_interval(built):
    assert "concise - scratch +2.00 -0.1250 1 first weights and order of images" in words(built / "reports/index.html")
    line = "| MNIST | concise - scratch | first weights and order of images | 1 | +2.00 | -0.1250 | 2 | 5 | 0.453 |\n"
    assert line in words(built / "reports/summary.md")


def test_runs_without_a_common_seed_are_not_compared(here):
    path = Path("metrics/mnist/comparison.json")
    comparison = read_json(path)
    comparison["pairs"][0] |= {"seeds": [], "difference": {}, "mcnemar": []}
    write_json(path, comparison)
    report.main()
    assert words(Path("reports/index.html")).count("no seed in common 0") == 2
    summary = words(Path("reports/summary.md"))
    assert "order of images | 0 | no seed in common | | | | |\n| MNIST | mlp - scratch |" in summary


def test_the_notes_figures_stand_beside_runs_made_like_theirs(tmp_path, monkeypatch):
    monkeypatch.chdir(finished(tmp_path / "project", ["mnist"], seeds=(0, 5)))
    report.main()
    assert "notes print" not in words(Path("reports/summary.md"))
    assert "Beside the notes" not in words(Path("reports/index.html"))
    rows = [
        notes.Row("mnist", "scratch", 20, None, None, [0.8, 0.82]),
        notes.Row("mnist", "mlp", 1, 55.0, 5546, [0.5, 0.6]),
        notes.Row("mnist", "mlp", 2, 95.97, 9597, [0.5, 0.6]),
    ]
    monkeypatch.setattr("samebits.report.page.beside", lambda dataset: rows)
    report.main()
    text = words(Path("reports/index.html"))
    assert "scratch 20 drawn, not printed 81.00 % 80.00 % to 82.00 % 2 -" in text
    assert "mlp 1 55 % 5,546 55.00 % 50.00 % to 60.00 % 2 ✓ inside" in text
    assert "mlp 2 95.97 % 9,597 55.00 % 50.00 % to 60.00 % 2 ✗ outside" in text
    summary = words(Path("reports/summary.md"))
    assert "MNIST: 1 of the 2 test accuracies that the notes print" in summary


def test_images_are_titled_with_true_and_predicted_class_and_wrong_ones_marked(page):
    runs = len(DATASETS) * len(RUNS)
    # the mistake is among the surest, the most confused and the first; a hit among the doubts and the first
    assert page.text.count(f"✗ {CLASSES[0]}") == page.text.count("✗ ") - len(DATASETS) == 3 * runs
    assert page.text.count(f"✓ {CLASSES[2]}") == 2 * runs
    alts = [image["alt"] for image in page.all("img")]
    for i, label in enumerate(LABELS):
        assert alts.count(f"Test image {i}: {CLASSES[label]}") == (3 if i == 2 else 2) * runs
    assert f"{CLASSES[1]} taken for {CLASSES[0]}: 1" in page.text


def test_calibration_and_templates_are_shown(page):
    text = " ".join(page.text.split())
    for name in RUNS:
        assert f"{name} 25.00 % 25.00 % 1.250 12.50 %" in text
        assert f"Weights of {name} for {CLASSES[1]}" in [image["alt"] for image in page.all("img")]
    assert "training images, for none were held out" in text


def test_a_run_that_diverged_is_shown_as_such(here):
    path = Path("models/mnist/concise/history.csv")
    history = pd.read_csv(path)
    history.loc[history["epoch"] == 2, "train_loss"] = 1.2  # log 3 is 1.0986
    history.to_csv(path, index=False)
    report.main()
    assert words(Path("reports/index.html")).count("concise diverged: the loss ended above") == 2  # table and curves
    assert words(Path("reports/index.html")).count("diverged: the loss ended above") == 3  # and its tile
    assert words(Path("reports/summary.md")).count("| concise (diverged: the loss ended above") == 1


def test_one_seed_that_diverged_does_not_hide_among_the_others(tmp_path, monkeypatch):
    monkeypatch.chdir(finished(tmp_path / "project", ["digits"], seeds=(0, 3, 4)))
    path = Path("models/digits/mlp/history.csv")
    history = pd.read_csv(path)
    last = history["epoch"] == 2
    history.loc[last, "train_loss"] = [0.2, 1.2, 0.2]  # 0.53 on an average; log 3 is 1.0986
    history.to_csv(path, index=False)
    report.main()
    assert words(Path("reports/index.html")).count("diverged with seed 3: the loss ended above") == 3
    summary = words(Path("reports/summary.md"))
    assert summary.count("| mlp (diverged with seed 3: the loss ended above") == summary.count("diverged") == 1


def test_a_matrix_that_nobody_could_read_is_not_drawn(here, monkeypatch):
    monkeypatch.setattr(charts, "MOST_CLASSES", 2)
    report.main()
    text = words(Path("reports/index.html"))
    assert "3 classes make too large a matrix to read: reports/plots/confusion.csv has the counts" in text
    assert "Confusion matrix" not in Path("reports/index.html").read_text(encoding="utf-8")
    assert not list(Path("reports/figures").glob("*confusion*"))


def test_every_figure_comes_with_its_table(built):
    names = {path.name for path in (built / "reports/figures").iterdir()}
    drawn = {name for name in names if not name.endswith(".csv")}
    assert {f"{name.rpartition('.')[0]}.csv" for name in drawn} <= names
    kinds = ["curves.svg", "confusion.svg", "confusion_share.svg", "reliability.svg", "templates.png"]
    assert {f"{dataset}-{run}-{kind}" for dataset in DATASETS for run in RUNS for kind in kinds} <= drawn
    shares = pd.read_csv(built / "reports/figures/mnist-mlp-confusion_share.csv")
    assert shares["share"].tolist() == [0.6, 0.2, 0.2, 0.2, 0.6, 0.2, 0.2, 0.2, 0.6]


def test_the_lessons_and_the_proof_are_shown(page, built):
    text = " ".join(page.text.split())
    lock = (built / "requirements.lock").read_text()
    for version in re.findall(r"^(?:torch|numpy|safetensors|matplotlib|dvc)==(\S+)", lock, re.MULTILINE):
        assert version in text
    for dataset in DATASETS:
        assert read_json(built / f"data/processed/{dataset}/summary.json")["digest"] in text
        for name in RUNS:
            assert read_json(built / f"metrics/{dataset}/{name}.json")["model_sha256"] in text
    for row in pd.read_csv(built / "reports/figures/lessons.csv", dtype=str).to_dict("records"):
        beside = f"{row['notes']} {row['printed']} {row['here']} ✓".replace("-", "\N{MINUS SIGN}")
        assert beside in text
    assert "differs by" not in text
    assert "make verify" in text


def test_a_figure_that_does_not_come_out_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(finished(tmp_path / "project", ["digits"]))
    monkeypatch.setattr(printed, "UNTRAINED", "2.3126")
    report.main()
    text = words(Path("reports/index.html"))
    assert "A 2.3126 2.3 ✗ differs by 1·10 -2" in text
    assert "✗ not all of the others agree" in text


def test_without_the_lock_the_page_cannot_tell_versions(here):
    (here / "requirements.lock").unlink()
    with pytest.raises(UserError, match=r"^requirements.lock is missing here: it comes with the project"):
        report.main()


def test_page_needs_nothing_beside_it(page, built):
    assert not page.all("script")
    assert all(image["src"].startswith("data:") for image in page.all("img"))
    assert all(link["href"].startswith("data:") for link in page.all("link"))
    text = (built / "reports/index.html").read_text(encoding="utf-8")
    assert "//" not in re.sub(r'"data:[^"]*"', "", text)


def test_page_can_be_read_without_seeing_it(page):
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {link["href"].removeprefix("#") for link in page.all("a")} <= set(ids)
    assert all(image["alt"] for image in page.all("img"))
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in page.all("svg"))
    assert len(page.all("svg")) == 4 * len(DATASETS) * len(RUNS) + len(lesson_charts.DESCRIPTIONS)
    assert all(cell["scope"] in ("row", "col", "rowgroup") for cell in page.all("th"))


def test_names_are_escaped(tmp_path, monkeypatch):
    monkeypatch.chdir(finished(tmp_path / "project", ["digits"]))
    path = Path("data/processed/digits/summary.json")
    write_json(path, read_json(path) | {"title": "<script>1 & 2"})
    report.main()
    text = Path("reports/index.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "&lt;script&gt;1 &amp; 2" in text


def test_bytes_depend_on_neither_place_nor_threads_nor_settings(tmp_path):
    built = []
    for name, settings in {
        "a": {"PYTHONHASHSEED": "1", "OMP_NUM_THREADS": "1", "TZ": "Asia/Tokyo", "LC_ALL": "C"},
        "b": {"PYTHONHASHSEED": "2", "OMP_NUM_THREADS": "2", "SOURCE_DATE_EPOCH": "1", "MATPLOTLIBRC": "style"},
    }.items():
        folder = finished(tmp_path / name, ["digits"], seeds=(0, 1, 2))
        (folder / "style").write_text("font.size: 20\nxtick.labelsize: 20\nsvg.fonttype: path\n")
        run(sys.executable, "-m", "stages.report", cwd=folder, check=True, PYTHONPATH=str(ROOT), **settings)
        reports = folder / "reports"
        built.append({path.relative_to(reports): path.read_bytes() for path in reports.rglob("*") if path.is_file()})
    assert len(built[0]) > 50
    assert built[0] == built[1]


NEEDED = {
    "data/processed/mnist/summary.json": "preprocess@mnist",
    "data/processed/digits/test.safetensors": "preprocess@digits",
    "models/mnist/scratch/history.csv": "train-scratch@mnist",
    "models/mnist/scratch/model.safetensors": "train-scratch@mnist",
    "models/digits/mlp/history.csv": "train-concise@digits-mlp",
    "metrics/mnist/concise.json": "evaluate@mnist",
    "metrics/mnist/concise_classes.csv": "evaluate@mnist",
    "metrics/mnist/concise_confusion.csv": "evaluate@mnist",
    "metrics/digits/shared_start.json": "evaluate@digits",
    "metrics/digits/comparison.json": "evaluate@digits",
    "metrics/digits/calibration.json": "evaluate@digits",
    "predictions/digits/scratch.csv": "evaluate@digits",
}


@pytest.mark.parametrize(("name", "stage"), NEEDED.items())
def test_a_missing_input_is_named_with_the_stage_that_makes_it(here, name, stage):
    (here / "reports").mkdir()
    (here / "reports/index.html").write_text("the last one")
    (here / name).unlink()
    with pytest.raises(UserError, match=f"^{re.escape(f'{name} is missing: run `dvc repro {stage}`')}$"):
        report.main()
    assert [path.read_text() for path in (here / "reports").iterdir()] == ["the last one"]


@pytest.mark.parametrize(("name", "stage"), [item for item in NEEDED.items() if "model.safe" not in item[0]])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe,\n1,2\n", b'{"a": 1'])
def test_a_damaged_input_is_named_with_the_stage_that_makes_it(here, name, stage, content):
    (here / name).write_bytes(content)
    with pytest.raises(UserError, match=rf"(?s)^{name} is damaged \(.*`dvc repro {stage}`$"):
        report.main()


@pytest.mark.parametrize("names", [["007", "7"], ["None", ""]])
def test_class_names_stay_as_they_are(here, names, monkeypatch):
    monkeypatch.setattr(made, "CLASSES", [*names, "x"])
    project(here, "mnist")
    run = read_dataset("mnist", load()).runs[2]
    assert run.classes["class"].tolist() == [*names, "x"]


def test_class_names_in_any_script_are_shown_without_a_word(tmp_path, monkeypatch):
    monkeypatch.setattr(made, "CLASSES", ["ひらがな", "한글", "हिन्दी"])
    folder = finished(tmp_path / "project", ["mnist"])
    done = run(sys.executable, "-m", "stages.report", cwd=folder, PYTHONPATH=str(ROOT))
    assert done.stderr == ""
    assert "ひらがな" in (folder / "reports/figures/mnist-mlp-confusion.svg").read_text(encoding="utf-8")


def test_the_stages_are_named_as_dvc_names_them():
    dvc = run(sys.executable, "-m", "dvc", "stage", "list", "--name-only", cwd=ROOT).stdout.split()
    datasets = load(ROOT / "params.yaml").datasets
    forms = {stage.replace("digits", "mnist") for stage in NEEDED.values()}
    assert {form.replace("mnist", name) for form in forms for name in datasets} <= set(dvc)


def test_a_history_of_other_parameters_is_stale(here):
    params = here / "params.yaml"
    params.write_text(params.read_text().replace("epochs: 3", "epochs: 4"))
    with pytest.raises(UserError, match=r"scratch/history.csv has other seeds or epochs.*train-scratch@mnist`$"):
        report.main()


def test_a_chain_of_other_seeds_is_stale_and_one_that_is_missing_is_no_fault(here):
    path = here / "models/digits/mlp/chain.csv"
    lines = path.read_text().splitlines(keepends=True)
    data, params = read_data("digits"), load()
    for text, said in (
        ("".join(lines[:-1]), "has other seeds or epochs than params.yaml"),
        ("x", r"is damaged \(it is"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=rf"mlp/chain.csv {said}.*: run `dvc repro train-concise@digits-mlp`$"):
            read_run(data, "mlp", params)
    path.unlink()  # as after a commit that made none
    read_run(data, "mlp", params)


def test_metrics_of_another_model_are_stale(here):
    metrics = (here / "metrics/digits/mlp.json").read_bytes()
    finish(here, "digits", "mlp", better=0.01)
    predict(here / "predictions/digits/mlp.csv", LABELS)
    models = {run: read_json(here / f"metrics/digits/{run}.json")["model_sha256"] for run in RUNS}
    for name in ("calibration", "comparison"):
        path = here / f"metrics/digits/{name}.json"
        with pytest.raises(UserError, match=rf"^metrics/digits/{name}.json was measured on other.*evaluate@digits`$"):
            report.main()
        write_json(path, read_json(path) | {"model_sha256": models})
    (here / "metrics/digits/mlp.json").write_bytes(metrics)
    with pytest.raises(UserError, match=r"^metrics/digits/mlp.json was measured on another model.*evaluate@digits`$"):
        report.main()


def test_predictions_about_other_images_are_stale(here):
    predict(here / "predictions/mnist/concise.csv", [1, 0, 1, 1])
    with pytest.raises(UserError, match=r"^predictions/mnist/concise.csv is about other images.*evaluate@mnist`$"):
        report.main()


def test_leftovers_go_and_nothing_else(tmp_path, capsys):
    models, elsewhere, linked = tmp_path / "models", tmp_path / "elsewhere", tmp_path / "linked"
    for name in ["digits", "mnist", "notes", ".git"]:
        (models / name / "deep").mkdir(parents=True)
    (elsewhere / "digits").mkdir(parents=True)
    linked.symlink_to(elsewhere)
    (models / "fashion_mnist").symlink_to(elsewhere)
    (models / "a_file").write_text("kept")
    known = ["digits", "mnist", "fashion_mnist", "a_file"]
    prune([models, linked, tmp_path / "absent"], known, wanted=["mnist"])
    assert sorted(path.name for path in models.iterdir()) == [".git", "a_file", "fashion_mnist", "mnist", "notes"]
    assert (models / "mnist/deep").is_dir()
    assert (elsewhere / "digits").is_dir()
    said = capsys.readouterr().out
    assert said.startswith(f"removed {models / 'digits'}: digits is not among the datasets of params.yaml; ")
    assert said.count("\n") == 1


def test_leftover_networks_go_and_nothing_else(tmp_path, capsys):
    outputs, folder = ["model.safetensors", "history.csv", "chain.csv"], tmp_path / "digits"
    for name in ("mlp", "wanted", "left", "more", "fewer"):
        (folder / name).mkdir(parents=True)
        for output in outputs[: 2 if name == "fewer" else 3]:
            (folder / name / output).touch()
    (folder / "more/notes.txt").write_text("kept")
    (folder / "link").symlink_to(folder / "mlp")
    (folder / "a_file").touch()
    prune_runs(folder, outputs, ["mlp", "wanted"])
    assert sorted(path.name for path in folder.iterdir()) == ["a_file", "fewer", "link", "mlp", "more", "wanted"]
    said = capsys.readouterr().out
    assert said.startswith(f"removed {folder / 'left'}: left is not among the networks of params.yaml; ")
    assert said.count("\n") == 1
    (tmp_path / "linked").symlink_to(folder)
    prune_runs(tmp_path / "linked", outputs, [])
    prune_runs(tmp_path / "absent", outputs, [])
    assert (folder / "mlp").is_dir()


def test_a_name_in_the_catalog_that_is_none_removes_nothing(here, monkeypatch):
    monkeypatch.setenv("DVC_STAGE", "report")
    catalog = here / "data/catalog.yaml"
    catalog.write_text(f"{catalog.read_text()}\n'..': {{}}\n")
    with pytest.raises(UserError, match=r"data/catalog.yaml: .*made of a-z, 0-9 and _"):
        report.main()
    assert (here / "metrics/mnist").is_dir()


def test_only_under_dvc_do_leftovers_go(here, monkeypatch):
    monkeypatch.setattr("samebits.report.page.html", lambda *_: "a page")
    left = here / "metrics/fashion_mnist"
    shutil.copytree(here / "metrics/mnist", left)
    report.main()
    assert left.is_dir()
    monkeypatch.setenv("DVC_STAGE", "report")
    report.main()
    assert not left.exists()
    assert (here / "metrics/mnist").is_dir()


@pytest.mark.parametrize(
    ("template", "table", "x", "y"),
    [
        ("learning_curves", "learning_curves", "epoch", "accuracy"),
        ("learning_curves", "learning_curves", "epoch", "loss"),
        ("confusion_matrix", "confusion", "predicted", "actual"),
        ("reliability", "reliability", "confidence", "accuracy"),
    ],
)
def test_dvc_fills_our_plot_templates(here, template, table, x, y):
    datasets = [read_dataset(name, load()) for name in DATASETS]
    points = getattr(tables, table)(datasets).astype(str).assign(rev="workspace").to_dict("records")
    renderer = VegaRenderer(
        points, "plot", x=x, y=y, title="Title", template=template, template_dir=str(ROOT / ".dvc/plots")
    )
    filled = json.dumps(renderer.get_filled_template())
    assert "<DVC" not in filled
    used = set(re.findall(r'"field": "(\w+)"', filled)) | set(re.findall(r"datum\.(\w+)", filled))
    made = set(re.findall(r'"as": "(\w+)"', filled))
    assert used - made <= set(pd.DataFrame(points))
