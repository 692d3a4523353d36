"""MLflow's registry: which model is the champion of a dataset, and fetching one that is registered."""

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException

from samebits.base.errors import UserError
from samebits.base.files import sha256
from samebits.tracking.address import address, is_new, shown
from samebits.tracking.connection import Client, in_a_sentence, reach
from samebits.tracking.experiment import settle_if_there
from samebits.tracking.model import WEIGHTS
from samebits.tracking.record import Published
from samebits.tracking.store import KEY, MODEL, Store


def fetch(uri: str, folder: Path) -> Path:
    """Download the model.safetensors of models:/NAME@ALIAS or models:/NAME/VERSION into `folder`.

    Raises UserError if the registry has no such model, or if its bits are not those that were registered;
    UnavailableError if MLflow cannot be reached.
    """
    named = re.fullmatch(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>\d+))", uri)
    if not named:
        raise UserError(f"{uri} names no registered model: it must be models:/NAME@ALIAS or models:/NAME/VERSION")
    store = address()
    unknown = UserError(f"MLflow at {shown(store)} has no {uri}: `make promote` registers a model")
    if is_new(store):
        raise unknown
    with in_a_sentence(store):
        client = reach(store)
        try:
            if named["alias"]:
                found = client.get_model_version_by_alias(named["name"], named["alias"])
            else:
                found = client.get_model_version(named["name"], named["version"])
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            raise unknown from None
        settle_if_there(client)
        path = _download(client, found, folder)
    if sha256(path) != found.tags.get("model_sha256"):
        raise UserError(f"{uri} at {shown(store)} is not the file that was registered: its SHA-256 is another")
    return path


def _download(client: Client, found: Any, folder: Path) -> Path:
    """Bring the weights of a model version into `folder`. Raises UserError if they are not where it says."""
    try:
        return client.download(f"models:/{found.name}/{found.version}/{WEIGHTS}", folder)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        dataset = found.name.removeprefix("samebits-")
        raise UserError(
            f"MLflow at {shown(client.uri)} has models:/{found.name}/{found.version}, but its file is not there any "
            f"more: `samebits publish {dataset}` puts it back if that is what is finished here"
        ) from None


def register(store: Store, name: str, chosen: Published, card: str, alias: str) -> str:
    """Register the model of a run as `name`, once, with its card, give it `alias`, and return its version."""
    with suppress(MlflowException):  # it exists; what else may be wrong, the next request says
        store.client.create_registered_model(name, {"dataset": chosen.tags["dataset"]})
    version = _version(store.client, name, chosen)
    if version is None:
        tags = {KEY: chosen.tags[KEY], "model_sha256": chosen.tags["model_sha256"]}
        model = chosen.tags[MODEL]
        store.client.create_model_version(name, f"models:/{model}", chosen.run_id, tags, None, card, model_id=model)
        version = _version(store.client, name, chosen)
    assert version is not None
    store.client.set_registered_model_alias(name, alias, version)
    return version


def _version(client: Client, name: str, chosen: Published) -> str | None:
    """The version of `name` that holds the chosen result. Of two, made at the same time, the first stays."""
    versions = client.search_model_versions(f"name = '{name}'", max_results=10_000)
    same = sorted(int(v.version) for v in versions if v.tags.get(KEY) == chosen.tags[KEY])
    for later in same[1:]:
        with suppress(MlflowException):  # where the other promoter does the same at this moment
            client.delete_model_version(name, str(later))
    return str(same[0]) if same else None
