"""What an engine says it delivered, checked to be there and to be what it should be."""

from __future__ import annotations

from pathlib import Path

from sightloop.contracts.decode import WrongFormat, decode
from sightloop.contracts.job import Parity
from sightloop.training.errors import ProtocolBroken
from sightloop.training.folders import JobFolder


def own_file(folder: JobFolder, file: str) -> Path:
    """The file that the engine told of.

    Raises:
        ProtocolBroken: it is not there, or not below the output folder.
    """
    path = (folder.output / file).resolve()
    if not path.is_relative_to(folder.output.resolve()):
        raise ProtocolBroken(where=str(folder.output), problem=f"it tells of {file!r} outside it")
    if not path.is_file():
        raise ProtocolBroken(where=str(folder.output), problem=f"it tells of {file!r}, not there")
    return path


def check_parity_file(path: Path | None, folder: JobFolder) -> None:
    """Return when the wanted parity answers came and can be read.

    Raises:
        ProtocolBroken: they cannot, or did not come.
    """
    if path is None:
        problem = "parity answers were wanted, and none came"
        raise ProtocolBroken(where=str(folder.output), problem=problem)
    try:
        decode(path.read_bytes(), Parity, what=path.name)
    except WrongFormat as error:
        raise ProtocolBroken(where=str(path), problem=error.message) from error
