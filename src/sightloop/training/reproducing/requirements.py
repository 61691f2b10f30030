r"""Recorded distributions as a list to install, and which of them an engine stands on. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from sightloop.training.reproducing.errors import EnvironmentUnavailable

_NAME = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
_WHOLE_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?", re.ASCII)
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*", re.ASCII)
_OPTIONAL = re.compile(r";.*\bextra\s*==")


def normal_name(name: str) -> str:
    """A distribution's name as indexes compare it.

    >>> normal_name("Sightloop_Ultralytics")
    'sightloop-ultralytics'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements_text(distributions: Mapping[str, str], *, without: Collection[str]) -> str:
    r"""Exact versions, a line each, for installing without looking for dependencies.

    Raises:
        EnvironmentUnavailable: a record holds what is no name or no version. An installer would
            read it as an option or an address, and a record may come from anywhere.

    >>> requirements_text({"numpy": "2.3.0", "mine": "0.1"}, without={"mine"})
    'numpy==2.3.0\n'
    """
    for name, version in distributions.items():
        if not (_WHOLE_NAME.fullmatch(name) and _VERSION.fullmatch(version)):
            problem = f"{name[:80]!r}, {version[:80]!r} is no package and its version"
            raise EnvironmentUnavailable(step="reading the recorded packages", problem=problem)
    left_out = {normal_name(one) for one in without}
    lines = sorted(
        f"{normal_name(name)}=={version}"
        for name, version in distributions.items()
        if normal_name(name) not in left_out
    )
    return "".join(f"{line}\n" for line in lines)


def needed_by(root: str, requires: Mapping[str, Collection[str]]) -> set[str]:
    """The distribution and everything that it requires, directly or not, by normal names.

    What only an extra requires is left out: nobody knows which extras were meant.

    >>> sorted(needed_by("a", {"a": ["b>=2", "c; extra == 'fast'"], "b": ["D"], "d": []}))
    ['a', 'b', 'd']

    Args:
        root: where to begin; without it among `requires` it stands alone.
        requires: requirement lines by normal name.
    """
    found: set[str] = set()
    left = [normal_name(root)]
    while left:
        name = left.pop()
        if name in found:
            continue
        found.add(name)
        for line in requires.get(name, ()):
            match = _NAME.match(line)
            if match is not None and not _OPTIONAL.search(line):
                left.append(normal_name(match[1]))
    return found
