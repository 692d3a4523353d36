"""`make serve`: a page to draw a digit on, and POST /predict for programs, on this machine only."""

import errno
import os
from typing import Annotated

import typer

from samebits.base.errors import UserError
from samebits.inference.choose import choose
from samebits.inference.server import HOST, Server
from samebits.tracking.fetch import fetch


def main(
    dataset: Annotated[str, typer.Argument(help="What the model was trained on.")] = "mnist",
    run: Annotated[str | None, typer.Option(help="scratch, concise, mlp (the default) or your own network.")] = None,
    model: Annotated[str | None, typer.Option(help="Not a run of this project: a file, or models:/NAME@ALIAS.")] = None,
    seed: Annotated[int | None, typer.Option(help="One of the model's seeds; the first unless given.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free one.")] = 8000,
) -> None:
    """Serve predictions of a model that was trained on DATASET, until Ctrl-C."""
    classifier = choose(dataset, run, model, seed, fetch)
    try:
        server = Server(classifier, port)
    except OSError as error:
        why = "is in use" if error.errno == errno.EADDRINUSE else "cannot be used"
        raise UserError(f"port {port} {why}: --port N takes another, --port 0 any free one") from None
    about = classifier.description
    print(f"{about.dataset} {about.run}: http://{HOST}:{server.server_port}/ (Ctrl-C stops it)", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:  # how a server ends
        print("\nstopped", flush=True)
        os._exit(0)  # at once: an ordinary end waits for the threads that decode and predict
