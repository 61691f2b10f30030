"""What training starts from: the starter, a file, an architecture, or published weights."""

from __future__ import annotations

import difflib
import re
import urllib.request
from pathlib import Path
from urllib.error import HTTPError

from sightloop_ultralytics.errors import WeightsDamaged, WeightsOutOfReach, WeightsUnknown
from sightloop_ultralytics.parameters import library_folder

STARTER = "starter"
STARTER_FILE = Path(__file__).parent / "starter" / "starter.pt"
PUBLISHED_AT = "https://github.com/ultralytics/assets/releases/download/v8.4.0"
DOWNLOAD_TIMEOUT_S = 20.0
_PUBLISHED = re.compile(r"(yolo(v8|11|12|26)[nslmx])(\.pt)?")
_SCALE = re.compile(r"(\d+)([nslmx])(.*)$")


def find_weights(weights: str, *, folder: Path) -> str:
    """What to give to Ultralytics: a path, or the name of an architecture it ships.

    Published weights such as `yolo26n.pt` are downloaded into `folder`, the only thing this
    engine ever uses a network for.

    Raises:
        WeightsUnknown: it is none of these.
        WeightsOutOfReach: it is published but cannot be had from here.
        WeightsDamaged: the installation lacks its starter.
    """
    if weights == STARTER:
        return _starter()
    path = Path(weights)
    if path.is_file():
        return str(_with_suffix(path, folder))
    if path.suffix == ".yaml" and unscaled(path.name) in architectures():
        return weights
    published = _PUBLISHED.fullmatch(weights)
    if published is not None:
        return str(download(f"{published[1]}.pt", folder))
    similar = difflib.get_close_matches(weights, [STARTER, *_likely_names()], n=3)
    raise WeightsUnknown(weights=weights, similar=similar)


def architectures() -> frozenset[str]:
    """File names of the architectures Ultralytics ships, without the letter of their scale."""
    return frozenset(path.name for path in (library_folder() / "cfg/models").rglob("*.yaml"))


def unscaled(name: str) -> str:
    """The name of the file that describes the architecture in all its scales.

    >>> unscaled("yolo26n.yaml"), unscaled("yolo26s-p2.yaml"), unscaled("yolo26.yaml")
    ('yolo26.yaml', 'yolo26-p2.yaml', 'yolo26.yaml')
    """
    return _SCALE.sub(r"\1\3", name)


def download(name: str, folder: Path) -> Path:
    """The published file of that name, in `folder`.

    Raises:
        WeightsOutOfReach: there is no network, or the file is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    url = f"{PUBLISHED_AT}/{name}"
    partial, path = folder / f"{name}.part", folder / name
    try:
        with urllib.request.urlopen(url, timeout=DOWNLOAD_TIMEOUT_S) as reply:  # noqa: S310 - a constant https address
            partial.write_bytes(reply.read())
    except OSError as error:  # refused, not found, timed out
        if isinstance(error, HTTPError):
            error.close()  # it is the reply itself
        raise WeightsOutOfReach(weights=name, url=url, problem=str(error)) from error
    partial.replace(path)
    return path


def _starter() -> str:
    if not STARTER_FILE.is_file():
        problem = f"there is no {STARTER_FILE}: install this engine anew"
        raise WeightsDamaged(weights=STARTER, problem=problem)
    return str(STARTER_FILE)


def _with_suffix(path: Path, folder: Path) -> Path:
    # Ultralytics tells checkpoints from architectures by the suffix alone.
    if path.suffix in {".pt", ".yaml"}:
        return path
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / f"{path.name}.pt"
    link.symlink_to(path)
    return link


def _likely_names() -> list[str]:
    families = ("yolov8", "yolo11", "yolo12", "yolo26")
    return [
        f"{name}{scale}{end}" for name in families for scale in "nsmlx" for end in (".pt", ".yaml")
    ]
