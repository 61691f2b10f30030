"""Texts of foreign programs, made fit for a file of JSON lines. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

HIDDEN = "***"
"""What stands where a secret stood."""
_SECRET = frozenset(
    {"token", "password", "passwd", "passphrase", "pwd", "secret", "credential", "credentials"}
)
_SECRET_KEYS = frozenset({"api", "access", "private", "secret", "signing"})
_ASSIGNED = re.compile(r"(-{0,2}[\w.-]+)=(.+)", re.DOTALL)
_OPTION = re.compile(r"--?[A-Za-z][\w.-]*")
_IN_ADDRESS = re.compile(r"(://[^/\s:@]*):[^/\s@]+@")
_LONE_HALF = re.compile("[\ud800-\udfff]")


def writable(text: str) -> str:
    r"""The text, its halves of characters, which UTF-8 cannot hold, written as in a URL.

    Python makes such halves of the bytes of file names and arguments that are no UTF-8.

    >>> writable("caf\udce9.png"), writable("café.png")
    ('caf%E9.png', 'café.png')
    """
    return _LONE_HALF.sub(lambda half: f"%{ord(half[0]) & 0xFF:02X}", text)


def without_secrets(words: Sequence[str]) -> list[str]:
    """The words of a command line, with what its options call a secret hidden.

    >>> without_secrets(["train", "--hub-token", "x1", "API_KEY=x2", "--tokenizer", "bpe"])
    ['train', '--hub-token', '***', 'API_KEY=***', '--tokenizer', 'bpe']
    >>> without_secrets(["git", "clone", "https://me:pa55@host/repo"])
    ['git', 'clone', 'https://me:***@host/repo']
    """
    shown: list[str] = []
    hides_next = False
    for word in words:
        assigned = _ASSIGNED.fullmatch(word)
        if hides_next and not word.startswith("--"):
            shown.append(HIDDEN)
            hides_next = False
            continue
        hides_next = _OPTION.fullmatch(word) is not None and _names_secret(word)
        if assigned is not None and _names_secret(assigned[1]):
            shown.append(f"{assigned[1]}={HIDDEN}")
        else:
            shown.append(_IN_ADDRESS.sub(rf"\1:{HIDDEN}@", word))
    return shown


def _names_secret(name: str) -> bool:
    parts = re.split(r"[-_.]+", re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower())
    keyed = any(f"{one}key" in parts for one in _SECRET_KEYS) or (
        "key" in parts and not _SECRET_KEYS.isdisjoint(parts)
    )
    return keyed or not _SECRET.isdisjoint(parts)
