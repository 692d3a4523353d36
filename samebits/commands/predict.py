"""Ask a trained model about pictures or rows of a table: `samebits predict mnist seven.png photos/`."""

import io
import json
import sys
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import numpy as np
import torch
import typer

from samebits.base import paths
from samebits.base.errors import UserError
from samebits.base.files import write_csv
from samebits.datasets.scale import SCALE, Scale
from samebits.datasets.table import read as read_table
from samebits.inference.choose import choose
from samebits.inference.classifier import Classifier
from samebits.inference.pictures import NPY, Picture, read
from samebits.tracking.fetch import fetch

SUFFIXES = (".png", ".jpg", ".jpeg", ".npy")  # what is read of a folder
LARGEST_FILE = 256 * 2**20  # bytes
MOST_REASONS = 5  # of files that are refused
BAR = 20  # characters


def main(
    dataset: Annotated[str, typer.Argument(help="What the model was trained on.")],
    image: Annotated[
        list[str], typer.Argument(help="PNG, JPEG or .npy files, folders of them, a table's .csv; - is standard input.")
    ],
    run: Annotated[str | None, typer.Option(help="scratch, concise or mlp, the default.")] = None,
    model: Annotated[str | None, typer.Option(help="Not a run of this project: a file, or models:/NAME@ALIAS.")] = None,
    seed: Annotated[int | None, typer.Option(help="One of the model's seeds; the first unless given.")] = None,
    top: Annotated[int, typer.Option(min=1, help="How many classes to tell of.")] = 3,
    invert: Annotated[bool | None, typer.Option(help="Dark on light, or not; by default the border tells.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    csv: Annotated[Path | None, typer.Option(help="Write a row for each image to this file.")] = None,
) -> None:
    """Say what each IMAGE shows, after a model that was trained on DATASET."""
    classifier = choose(dataset, run, model, seed, fetch)
    pictures = _pictures(_files(image), classifier, invert)
    answers = _answers(classifier, pictures, top)
    if csv:
        write_csv(csv, [_row(answer) for answer in answers])
    if as_json:
        print(json.dumps(answers, indent=2, allow_nan=False))
    elif csv:
        print(f"{len(answers):,} images: {csv}")
    else:
        print("\n".join(_table(answer) for answer in answers))


def _files(names: list[str]) -> list[str]:
    """Replace each folder by the pictures in it, sorted by name."""
    files = []
    for name in names:
        if not Path(name).is_dir():
            files.append(name)
            continue
        found = sorted(str(path) for path in Path(name).iterdir() if path.suffix.lower() in SUFFIXES)
        if not found:
            raise UserError(f"{name} is a folder without {', '.join(SUFFIXES)} files")
        files += found
    return files


def _pictures(files: list[str], classifier: Classifier, invert: bool | None) -> dict[str, Picture]:
    """Read all files; one of several images gives NAME[0], NAME[1] ... Raises UserError that names those refused."""
    pictures: dict[str, Picture] = {}
    reasons = []
    for file in files:
        name = "standard input" if file == "-" else file.encode(errors="backslashreplace").decode()
        try:
            images = _images(_bytes(file, name), name, classifier, invert)
        except UserError as error:
            reasons.append(str(error))
            continue
        pictures |= {f"{name}[{i}]" if len(images) > 1 else name: image for i, image in enumerate(images)}
    if reasons:
        more = [f"and {len(reasons) - MOST_REASONS} more"] if len(reasons) > MOST_REASONS else []
        raise UserError("; ".join(reasons[:MOST_REASONS] + more))
    return pictures


def _images(data: bytes, name: str, classifier: Classifier, invert: bool | None) -> list[Picture]:
    """Read pictures or, where the model was trained on a table, the rows of a CSV file that has its columns."""
    dataset, (height, width) = classifier.description.dataset, classifier.description.image
    if height > 1 or data.startswith(NPY):
        return read(data, name, dataset, (height, width), invert)
    columns = classifier.description.columns  # which files of earlier versions do not have
    scale = Scale.of(columns) if columns else Scale.read(paths.processed(dataset) / SCALE)
    if len(scale.columns) != width:
        raise UserError(
            f"{paths.processed(dataset)} has {len(scale.columns)} columns, but the model {width}: run `dvc repro`"
        )
    rows = scale.pixels(read_table(io.BytesIO(data), name, columns=scale.columns).values)
    return [Picture(row, inverted=False) for row in rows]


def _bytes(file: str, name: str) -> bytes:
    if file == "-":
        return _limited(sys.stdin.buffer, name)
    try:
        with Path(file).open("rb") as stream:
            return _limited(stream, name)
    except FileNotFoundError:
        raise UserError(f"{name} is missing") from None
    except OSError as error:
        raise UserError(f"{name} cannot be read: {error.strerror}") from None


def _limited(stream: BinaryIO, name: str) -> bytes:
    data = stream.read(LARGEST_FILE + 1)
    if len(data) > LARGEST_FILE:
        raise UserError(f"{name} is larger than {LARGEST_FILE // 2**20} MiB, too large to be a picture")
    return data


def _answers(classifier: Classifier, pictures: dict[str, Picture], top: int) -> list[dict[str, Any]]:
    pixels = torch.from_numpy(np.stack([picture.pixels for picture in pictures.values()]))
    names, answers = classifier.description.classes, []
    for name, row in zip(pictures, classifier.probabilities(pixels).tolist(), strict=True):
        # sorted is stable, so that of equal ones the first class wins, as in predictions/DATASET/RUN.csv
        best = sorted(range(len(names)), key=row.__getitem__, reverse=True)[:top]
        ranked = [{"class": names[i], "probability": row[i]} for i in best]
        answers.append({"image": name, **ranked[0], "top": ranked, "inverted": pictures[name].inverted})
    return answers


def _row(answer: dict[str, Any]) -> dict[str, Any]:
    inverted = "yes" if answer["inverted"] else "no"
    return {
        "image": answer["image"],
        "predicted": answer["class"],
        "probability": answer["probability"],
        "inverted": inverted,
    }


def _table(answer: dict[str, Any]) -> str:
    width = max(len(each["class"]) for each in answer["top"])
    lines = [f"{answer['image']}: {answer['class']}" + (" (dark on light: inverted)" if answer["inverted"] else "")]
    for each in answer["top"]:
        bar = "#" * round(BAR * each["probability"])
        lines.append(f"  {each['class']:{width}}  {100 * each['probability']:6.2f} %  {bar}".rstrip())
    return "\n".join(lines)
