"""Where the files of a foreign version are: what a client calls its source, and what may be one."""

from __future__ import annotations

import posixpath
import re
from typing import NamedTuple

import msgspec

from sightloop.kernel.database import Tx
from sightloop.registry import registered
from sightloop.registry.errors import BadSource
from sightloop.tracking.logged_models import find_logged_model
from sightloop.tracking.store import find_run

_OWN_ADDRESS = "mlflow-artifacts:/"


class RegisterVersion(msgspec.Struct, frozen=True, kw_only=True):
    """The next version of a model: where its files are, and which run or logged model they are."""

    model: str
    source: str
    run: str = ""
    logged_model: str = ""
    run_link: str = ""
    description: str = ""
    tags: dict[str, str] = {}


class Origin(NamedTuple):
    """Where a version's files can be fetched, and what made them; empty where nothing is named."""

    location: str
    run: str
    logged_model: str


def origin_of(tx: Tx, request: RegisterVersion) -> Origin:
    """Where the files are, and what made them.

    A source that names a run, a logged model or another version has to be that of the request.

    Raises:
        NotFound: what the source points to is not there.
        RunUnknown, LoggedModelUnknown: there is no such run or logged model.
        BadSource: it is a path of the client's machine, or belongs to something else.
    """
    source, run, logged = request.source, request.run, request.logged_model
    scheme = re.match(r"([A-Za-z][\w+.-]*):", source)
    if scheme is None or scheme[1].lower() == "file":
        raise BadSource(source=source, problem="it is a path of the machine it was sent from")
    if ".." in re.split(r"[/\\]", source.partition("?")[0]):
        raise BadSource(source=source, problem="as a path it would lead elsewhere")
    if match := re.fullmatch(r"models:/+(m-[^/@]+)", source):
        if match[1] != logged:
            raise BadSource(source=source, problem="`model_id` has to name the same logged model")
        return _of_logged_model(tx, logged, run)
    if match := re.fullmatch(r"models:/+([^/@]+)/(\d{1,9})", source):
        other = registered.find_registered(tx, match[1], int(match[2]))
        return Origin(other.location, run or other.run, logged or other.logged_model)
    if source.startswith(("models:", "runs:", _OWN_ADDRESS)):
        return _of_request(tx, request)
    return Origin(source, run, logged)


def _of_request(tx: Tx, request: RegisterVersion) -> Origin:
    source, run, logged = request.source, request.run, request.logged_model
    if logged and source.startswith(_OWN_ADDRESS):
        origin = _of_logged_model(tx, logged, run)
        if _is_within(source, f"/models/{logged}/artifacts"):
            return origin._replace(location=source)
        raise BadSource(source=source, problem="`model_id` has to name what it belongs to")
    if run:
        find_run(tx, run)
        if source.startswith(f"runs:/{run}/") or _is_within(source, f"/{run}/artifacts"):
            return Origin(source, run, logged)
    raise BadSource(source=source, problem="`run_id` has to name the run it belongs to")


def _of_logged_model(tx: Tx, logged: str, run: str) -> Origin:
    model = find_logged_model(tx, logged)
    location = f"{_OWN_ADDRESS}{model.experiment}/models/{logged}/artifacts"
    return Origin(location, run or model.source_run, logged)


def _is_within(source: str, folder: str) -> bool:
    """Whether the address is the folder of some experiment, or lies in it."""
    path = posixpath.normpath(source.removeprefix(_OWN_ADDRESS))
    return source.startswith(_OWN_ADDRESS) and f"/{path}/".find(f"{folder}/") > 0
