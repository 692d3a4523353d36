"""Fetching a registered model, for those who ask for one: MLflow itself takes seconds to import."""

from pathlib import Path


def fetch(uri: str, folder: Path) -> Path:
    """Download the model.safetensors of models:/NAME@ALIAS into `folder`: see registry.fetch."""
    from samebits.tracking import registry

    return registry.fetch(uri, folder)
