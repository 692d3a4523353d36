"""Ask a trained model about pictures or rows of a table: `samebits predict mnist seven.png photos/`."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from samebits.base.destination import STDOUT, deliver, is_stream
from samebits.base.errors import UserError
from samebits.base.files import csv_text
from samebits.inference import asked
from samebits.inference.choose import choose
from samebits.inference.classifier import Classifier
from samebits.inference.pictures import Picture
from samebits.tracking.fetch import fetch

BAR = 20  # characters


def main(
    dataset: Annotated[str, typer.Argument(help="What the model was trained on.")],
    image: Annotated[
        list[str],
        typer.Argument(
            help="Pictures (PNG, JPEG, WebP, BMP) or .npy files, folders of them, a table's .csv; - is standard input."
        ),
    ],
    run: Annotated[str | None, typer.Option(help="scratch, concise, mlp (the default) or your own network.")] = None,
    model: Annotated[str | None, typer.Option(help="Not a run of this project: a file, or models:/NAME@ALIAS.")] = None,
    seed: Annotated[int | None, typer.Option(help="One of the model's seeds; the first unless given.")] = None,
    top: Annotated[int, typer.Option(min=1, help="How many classes to tell of.")] = 3,
    invert: Annotated[bool | None, typer.Option(help="Dark on light, or not; by default the border tells.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    csv: Annotated[Path | None, typer.Option(help="Write a row for each image here; - is stdout.")] = None,
) -> None:
    """Say what each IMAGE shows, after a model that was trained on DATASET."""
    if as_json and csv == STDOUT:
        raise UserError("--json and --csv cannot both be written to standard output")
    classifier = choose(dataset, run, model, seed, fetch)
    files, passed_over = asked.files(image)
    for words in passed_over:
        print(words, file=sys.stderr)
    pictures = asked.pictures(files, classifier, invert)
    answers = _answers(classifier, pictures, top)
    if csv:
        deliver(csv_text([_row(answer) for answer in answers]), csv)
    if as_json:
        print(json.dumps(answers, indent=2, allow_nan=False))
    elif csv and not is_stream(csv):
        doubted = sum(1 for answer in answers if answer["doubt"])
        print(f"{asked.number(len(answers), 'image')}: {csv}" + (f" ({doubted:,} not answered)" if doubted else ""))
    elif not csv:
        print("\n".join(_table(answer) for answer in answers))


def _answers(classifier: Classifier, pictures: dict[str, Picture], top: int) -> list[dict[str, Any]]:
    pixels = torch.from_numpy(np.stack([picture.pixels for picture in pictures.values()]))
    names, answers = classifier.description.classes, []
    for name, row in zip(pictures, classifier.probabilities(pixels).tolist(), strict=True):
        # sorted is stable, so that of equal ones the first class wins, as in predictions/DATASET/RUN.csv
        best = sorted(range(len(names)), key=row.__getitem__, reverse=True)[:top]
        ranked = [{"class": names[i], "probability": row[i]} for i in best]
        seen = pictures[name]
        answer = {"class": None, "probability": None} if seen.doubt else ranked[0]
        how = {"inverted": seen.inverted, "done": list(seen.done), "doubt": seen.doubt or None}
        answers.append({"image": name, **answer, "top": ranked, **how})
    return answers


def _row(answer: dict[str, Any]) -> dict[str, Any]:
    return {
        "image": answer["image"],
        "predicted": answer["class"],
        "probability": answer["probability"],
        "inverted": "yes" if answer["inverted"] else "no",
        "doubt": answer["doubt"],
    }


def _table(answer: dict[str, Any]) -> str:
    done = ["dark on light: inverted"] if answer["inverted"] else []
    how = "; ".join(done + answer["done"])
    if answer["doubt"]:
        return f"{answer['image']}: not answered, unlike the training images: {answer['doubt']}" + (how and f" ({how})")
    width = max(len(each["class"]) for each in answer["top"])
    lines = [f"{answer['image']}: {answer['class']}" + (how and f" ({how})")]
    for each in answer["top"]:
        bar = "#" * round(BAR * each["probability"])
        lines.append(f"  {each['class']:{width}}  {100 * each['probability']:6.2f} %  {bar}".rstrip())
    return "\n".join(lines)
