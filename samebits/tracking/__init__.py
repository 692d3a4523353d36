"""MLflow: the store of runs, what is published there, and the registry of models. No other room imports it.

Whatever of this room imports MLflow does so after what follows, which is what MLflow is to do and not to do.
"""

import os

# Defaults, all open to the user's own setting; MLflow reads the first two when it is imported.
PATIENCE = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_DISABLE_AGENT_HINT": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "3",  # seconds; with MLflow's own 120 s and 7 retries a dead server holds all
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # two lines for each seed
}
for _name, _value in PATIENCE.items():
    os.environ.setdefault(_name, _value)
