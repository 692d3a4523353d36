"""`make serve`: a page to draw a digit on, and POST /predict for programs, on this machine only."""

import errno
from typing import Annotated

import typer

from stages.command import command
from stages.errors import UserError
from stages.inference.choose import choose
from stages.inference.server import HOST, Server


def main(
    dataset: Annotated[str, typer.Argument(help="What the model was trained on.")] = "mnist",
    model: Annotated[str, typer.Option(help="scratch, concise or mlp, a file, or models:/NAME@ALIAS.")] = "mlp",
    seed: Annotated[int | None, typer.Option(help="One of the model's seeds; the first unless given.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free one.")] = 8000,
) -> None:
    """Serve predictions of a model that was trained on DATASET, until Ctrl-C."""
    classifier = choose(dataset, model, seed)
    try:
        server = Server(classifier, port)
    except OSError as error:
        why = "is in use" if error.errno == errno.EADDRINUSE else "cannot be used"
        raise UserError(f"port {port} {why}: --port N takes another, --port 0 any free one") from None
    about = classifier.description
    print(f"{about.dataset} {about.run}: http://{HOST}:{server.server_port}/ (Ctrl-C stops it)", flush=True)
    with server:
        try:
            server.serve_forever()
        except KeyboardInterrupt:  # how a server ends
            print("\nstopped")


if __name__ == "__main__":
    command(main)
