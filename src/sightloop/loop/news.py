"""Which events are news for people, in what words, and what of an address may be shown. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

NewsKind = Literal[
    "loss incident",
    "input incident",
    "approval needed",
    "rollout rolled back",
    "step failed",
    "turn ended",
    "device silent",
]
NEWS_KINDS: tuple[NewsKind, ...] = get_args(NewsKind)
MAX_TITLE_CHARS = 120
MAX_BODY_CHARS = 1_500
PLAIN_SCHEMES = frozenset({"json", "jsons", "xml", "xmls", "form", "forms"})
"""Whose host is a host; with other services it may be part of the secret."""
MIN_SECRET_CHARS = 3


class News(NamedTuple):
    """What is to be said, and to whom it matters."""

    kind: NewsKind
    title: str
    body: str


class Message(NamedTuple):
    """What a destination is sent: plain text, both of bounded length."""

    title: str
    body: str


def news_of(
    kind: str, subject: str, data: Mapping[str, Any], *, waits_for_approval: bool = False
) -> News | None:
    """The event as news; None when nobody asked to hear of its kind.

    `waits_for_approval` says of a verdict that no turn takes the version on by itself.
    """
    match kind:
        case "incident.opened":
            is_loss = data["kind"] == "loss"
            what = (
                "The audited loss rose" if is_loss else f"Images look different ({data['measure']})"
            )
            return News(
                "loss incident" if is_loss else "input incident",
                f"{what} on {data['stream']}",
                f"`sightloop monitor explain {subject}` says what changed.",
            )
        case "turn.ended":
            title = f"Turn of {data['model']}: {data['state']}"
            return News("turn ended", title, str(data["reason"]))
        case "turn.moved" if data["state"] == "awaiting approval":
            version = f"{data['model']}@{data['version']}"
            body = (
                f"`sightloop models approve {version} -m COMMENT` lets it go on, `reject` ends it."
            )
            return News("approval needed", f"{version} waits for approval", body)
        case "rollout.rolled_back":
            title = f"Rollout of {data['model']}@{data['number']} was rolled back"
            return News("rollout rolled back", title, str(data["reason"] or ""))
        case "step.failed":
            last_line = str(data["error"]).strip().splitlines()[-1:]
            body = f"{''.join(last_line)}\n`sightloop loop retry {subject}` tries again."
            return News("step failed", f"Step {data['step']} failed", body)
        case "device.silent":
            title = f"Device {data.get('name') or subject} is silent"
            return News(
                "device silent", title, f"It has not come by for {data['minutes']} minutes."
            )
        case "verdict.given" if waits_for_approval and data["outcome"] == "pass":
            version = f"{data['model']}@{data['number']}"
            body = f"`sightloop sign {version}` lets devices have it; nothing happens until then."
            return News(
                "approval needed", f"{version} passed the gate and waits for approval", body
            )
        case _:
            return None


def message_of(news: Sequence[News]) -> Message:
    """One message about everything that waits, so that a storm of alarms is not a storm of mail."""
    if len(news) == 1:
        return Message(_line(news[0].title, MAX_TITLE_CHARS), _text(news[0].body))
    lines = "\n".join(f"- {_line(one.title, MAX_TITLE_CHARS)}" for one in news)
    return Message(f"{len(news)} things happened", _text(lines))


def retry_wait_ms(n_failures: int) -> int:
    """How long a message waits after that many failures: half a minute, doubling up to an hour.

    >>> [retry_wait_ms(n) // 1000 for n in (1, 2, 3, 20)]
    [30, 60, 120, 3600]
    """
    return int(min(30_000 * 2 ** min(n_failures - 1, 16), 3_600_000))


def masked(url: str) -> str:
    """As much of an address as may be shown: which service it is, and a host that is only a host.

    >>> masked("json://anna:secret@10.0.0.7:8080/hook/T0K3N"), masked("slack://T1/T2/T3")
    ('json://10.0.0.7:8080/…', 'slack://…')
    """
    scheme, _, rest = url.partition("://")
    host = _host(url) if scheme.lower() in PLAIN_SCHEMES else ""
    return f"{scheme[:20]}://{host}/…" if host and rest else f"{scheme[:20]}://…"


def redacted(text: str, url: str) -> str:
    """The text without any part of the address that `masked` does not show.

    >>> redacted("T0K3N refused by 10.0.0.7", "json://10.0.0.7/hook/T0K3N")
    '… refused by 10.0.0.7'
    """
    scheme, _, rest = url.partition("://")
    shown = {scheme, *re.split(r"[:\[\]]", _host(url) if scheme in PLAIN_SCHEMES else "")}
    parts = {part for half in (rest, _unquoted(rest)) for part in re.split(r"[/:@?&=#,\s]+", half)}
    for part in sorted({rest, *parts} - shown, key=len, reverse=True):
        if len(part) >= MIN_SECRET_CHARS:
            text = text.replace(part, "…")
    return text


def in_plain_words(log: str) -> str:
    """Why a message did not arrive, from what the sending library wrote down.

    >>> in_plain_words("Failed to send JSON notification: Internal Server Error, error=500.")
    'it answered with an error of its own (500)'
    """
    lowered = log.lower()
    status = re.search(r"error=(\d{3})", lowered)
    if status:
        return _status_words(int(status[1]))
    if "timed out" in lowered or "timeout" in lowered:
        return "it did not answer in time"
    if any(word in lowered for word in ("name or service", "resolve", "nodename")):
        return "no machine of that name is known here"
    if "certificate" in lowered or "ssl" in lowered:
        return "its certificate could not be verified"
    if "connection" in lowered or "refused" in lowered:
        return "nobody answers at that address"
    return _line(log, 200) or "it did not say why"


def _status_words(status: int) -> str:
    if status in (401, 403):
        return f"it does not accept the credentials in the address ({status})"
    if status in (404, 410):
        return f"there is nothing at that address ({status})"
    if status == 429:
        return "it is being sent too much (429)"
    if status >= 500:
        return f"it answered with an error of its own ({status})"
    return f"it refused the message ({status})"


def _host(url: str) -> str:
    """What stands between the credentials and the path, port included."""
    return re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0].rpartition("@")[2]


def _unquoted(text: str) -> str:
    escapes = re.compile(r"(?:%[0-9a-fA-F]{2})+")
    return escapes.sub(
        lambda found: bytes.fromhex(found[0].replace("%", "")).decode(errors="replace"), text
    )


def _line(text: str, limit: int) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def _text(text: str) -> str:
    return text if len(text) <= MAX_BODY_CHARS else text[: MAX_BODY_CHARS - 1] + "…"
