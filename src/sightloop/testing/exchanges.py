"""Requests with their answers, recorded from a server, made comparable and repeatable.

What no two servers share, ids and times and page tokens, is replaced by names: `<run 1>` is the
first run an answer mentions. Replaying puts the ids of the present server in their places.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

_ID = re.compile(r"m-[0-9a-z]{22,32}|run_[0-9a-z]{22}|(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")
_NOBODY = re.compile(r"0{32}|m-0{32}")
_TIMES = {
    "creation_time",
    "last_update_time",
    "creation_timestamp",
    "last_updated_timestamp",
    "creation_timestamp_ms",
    "last_updated_timestamp_ms",
}
_UNORDERED = {"tags", "params", "files", "aliases", "latest_versions"}


class Exchange(NamedTuple):
    """A request and what came back, with names instead of ids."""

    method: str
    path: str
    query: list[list[str]]
    body: str | None
    status: int
    answer: Any
    """JSON, or the text."""


class Names:
    """Ids of one server and the names that stand for them."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._ids: dict[str, str] = {}

    def hide(self, text: str) -> str:
        """The text with names in the places of ids."""
        return _ID.sub(lambda match: self._name_of(match[0]), text)

    def show(self, text: str) -> str:
        """The text with this server's ids in the places of names."""
        return re.sub(r"<(?:run|model) \d+>|<token>", lambda match: self._ids[match[0]], text)

    def hide_token(self, token: str) -> str:
        """The name of a page token: always the same, and the newest token is meant."""
        self._ids["<token>"] = token
        return "<token>"

    def _name_of(self, given: str) -> str:
        if _NOBODY.fullmatch(given):
            return given
        return self._remember("model" if given.startswith("m-") else "run", given)

    def _remember(self, kind: str, given: str) -> str:
        if given not in self._names:
            number = 1 + sum(name.startswith(f"<{kind} ") for name in self._ids)
            self._names[given] = f"<{kind} {number}>"
            self._ids[self._names[given]] = given
        return self._names[given]


def hidden(names: Names, exchange: Mapping[str, Any]) -> Exchange:
    """What was recorded, with names instead of ids."""
    body = exchange["body"]
    query = [[key, _hide_text(names, key, value)] for key, value in exchange["query"]]
    if body:
        with contextlib.suppress(ValueError):  # not every body is JSON
            body = json.dumps(_hide_tokens(names, json.loads(body)))
    return Exchange(
        method=exchange["method"],
        path=names.hide(exchange["path"]),
        query=query,
        body=names.hide(body) if body else body,
        status=exchange["status"],
        answer=hidden_answer(names, exchange["answer"]),
    )


def hidden_answer(names: Names, text: str) -> Any:  # noqa: ANN401 - it is any JSON
    """An answer, with names instead of ids and times, and lists without an order sorted."""
    try:
        content = json.loads(text)
    except ValueError:
        return names.hide(text[:200])
    return _hide(names, content)


def _hide(names: Names, value: Any, key: str = "", parent: str = "") -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        if "error_code" in value:
            return {"error_code": value["error_code"]}
        return {name: _hide(names, one, name, key) for name, one in value.items()}
    if isinstance(value, list):
        shown = [_hide(names, one) for one in value]
        has_order = key not in _UNORDERED and (parent, key) != ("data", "metrics")
        return shown if has_order else sorted(shown, key=_rank)
    if key in _TIMES:
        return "<time>"
    return _hide_text(names, key, value) if isinstance(value, str) else value


def _rank(one: Any) -> str:  # noqa: ANN401
    if isinstance(one, dict):
        return str(one.get("key") or one.get("path") or one.get("alias") or one.get("version"))
    return str(one)


def _hide_text(names: Names, key: str, value: str) -> str:
    is_token = key in ("next_page_token", "page_token") and value not in ("", "not a token")
    return names.hide_token(value) if is_token else names.hide(value)


def _hide_tokens(names: Names, body: Any) -> Any:  # noqa: ANN401
    if isinstance(body, dict) and isinstance(body.get("page_token"), str):
        return body | {"page_token": _hide_text(names, "page_token", body["page_token"])}
    return body


def differences(ours: Any, theirs: Any, at: str = "") -> list[str]:  # noqa: ANN401
    """Where two answers differ, one line each."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        found = []
        for name in sorted(ours.keys() | theirs.keys()):
            if name not in ours:
                found.append(f"{at}.{name}: missing, theirs is {_short(theirs[name])}")
            elif name not in theirs:
                found.append(f"{at}.{name}: {_short(ours[name])}, theirs has none")
            else:
                found += differences(ours[name], theirs[name], f"{at}.{name}")
        return found
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs: Sequence[tuple[Any, Any]] = list(zip(ours, theirs, strict=True))
        return [line for n, (a, b) in enumerate(pairs) for line in differences(a, b, f"{at}[{n}]")]
    if ours == theirs and type(ours) is type(theirs):
        return []
    return [f"{at or 'answer'}: {_short(ours)}, theirs is {_short(theirs)}"]


def _short(value: Any) -> str:  # noqa: ANN401
    return json.dumps(value)[:160]
