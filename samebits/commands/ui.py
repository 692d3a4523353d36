"""`make ui`: publish what MLflow does not have yet, then open its pages on this machine only."""

import errno
import os
import socket
import sys
from typing import Annotated

import typer

from samebits.base.errors import UserError
from samebits.tracking import best_effort
from samebits.tracking.address import address, shown
from samebits.tracking.store import connect

VIEW = "compareRunsMode=CHART&workflowType=machine_learning"  # curves; not the pages for language models
HOST = "127.0.0.1"  # never the network: the server asks nobody who they are


def main(port: Annotated[int, typer.Option(min=1, max=65535, help="On this machine alone.")] = 5000) -> None:
    """Publish what is missing and serve MLflow's pages on this machine until Ctrl-C."""
    uri = address()
    if not uri.startswith("http"):
        require_free(port)
    with connect() as store:  # first, for where there is no store nothing can be published
        page = f"#/experiments/{store.experiment}/runs?{VIEW}&viewStateShareKey={store.save_view()}"
    best_effort.publish(hurry=False)
    if uri.startswith("http"):
        print(f"MLflow is at {shown(uri).rstrip('/')}/{page}")
        return
    print(f"MLflow: http://{HOST}:{port}/{page} (Ctrl-C stops it)", flush=True)
    # The address goes by the environment, for it may hold a password and a command line is everybody's to read.
    environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # seven processes of 240 MB, for language models
    environment |= {**os.environ, "MLFLOW_BACKEND_STORE_URI": uri}
    os.execve(sys.executable, server(port), environment)


def server(port: int) -> list[str]:
    """Return the command line of MLflow's server; what it serves is named in its environment."""
    return [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"]


def require_free(port: int) -> None:
    """Raise UserError if something listens at `port`, or if we may not."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a UI closed a moment ago is no obstacle
        try:
            probe.bind((HOST, port))
        except OSError as error:
            why = "is in use" if error.errno == errno.EADDRINUSE else "cannot be used"
            raise UserError(f"port {port} {why}: `make ui PORT=N` takes another") from None
