"""Writes docs/reference/ from the code: settings, policy, errors, events, commands, operations.

`python scripts/reference.py` rewrites the pages; a test fails when one of them is stale.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import typer

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "sightloop"
ENGINE = ROOT / "packages" / "sightloop-ultralytics" / "src" / "sightloop_ultralytics"
PAGES = ROOT / "docs" / "reference"
MADE = "<!-- Written by scripts/reference.py; change the code, not this page. -->\n"


class Field(NamedTuple):
    """One field of a struct as its source says it."""

    name: str
    kind: str
    default: str
    meaning: str


def settings_page() -> str:
    """`sightloop.toml`."""
    sections = {
        "database": "StoreConfig",
        "blobs": "StoreConfig",
        "server": "ServerConfig",
        "worker": "WorkerConfig",
        "training": "TrainingConfig",
    }
    lines = [
        "# Settings",
        "",
        "`sightloop.toml` in the workspace's folder. Unknown keys are refused. The environment",
        "variables `SIGHTLOOP_DATABASE_URL` and `SIGHTLOOP_BLOBS_URL` override `[database] url`",
        "and `[blobs] url`; `SIGHTLOOP_SERVER` and `SIGHTLOOP_TOKEN` tell the command line where",
        "to go, and `sightloop.run` too; `SIGHTLOOP_SPOOL` names the folder where what it tracked",
        "waits, see [the format](../formats/run-spool.md).",
    ]
    for section, struct in sections.items():
        lines += ["", f"## [{section}]", ""]
        lines += _table(_fields(SOURCE / "kernel" / "config.py", struct))
    return _page(lines)


def policy_page() -> str:
    """`loop.yaml`."""
    parts = [
        ("a model", "loop/policy.py", "ModelPolicy"),
        ("recipe, retrain.recipe", "loop/policy.py", "Recipe"),
        ("keep", "loop/policy.py", "KeepRules"),
        ("monitoring", "monitoring/settings.py", "MonitorSettings"),
        ("on_input_incident", "loop/policy.py", "InputIncidentRules"),
        ("retrain", "loop/policy.py", "RetrainRules"),
        ("gate", "evaluation/gate.py", "GateRules"),
        ("health", "fleet/health.py", "HealthCriteria"),
    ]
    lines = [
        "# Policy",
        "",
        "`loop.yaml` in the workspace's folder: one entry per model under `models`. Every key",
        "has a default and bounds; an unknown key is refused, so that a typing error never means",
        '"never retrain". The file is read anew whenever it is needed.',
        "",
        "```yaml",
        "version: 1",
        "models:",
        "  pcb:",
        "    branch: main",
        "    protect: {product_line: 0.05}",
        "    rings: [canary, fleet]",
        "```",
    ]
    for title, file, struct in parts:
        lines += ["", f"## {title}", "", _doc_of(SOURCE / file, struct), ""]
        lines += _table(_fields(SOURCE / file, struct))
    return _page(lines)


def errors_page() -> str:
    """Every error code."""
    rows = []
    for folder in (SOURCE, ENGINE):
        for path in sorted(folder.rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef) and (code := _code_of(node)):
                    first = (ast.get_docstring(node) or "").partition("\n\n")[0]
                    rows.append((code, node.name, " ".join(first.split())))
    lines = [
        "# Errors",
        "",
        "Every error says what happened, to which object, with which value, and what to do next.",
        'Over HTTP it is `{"error": {"code", "message", "facts"}}`; on the command line the',
        "exit code is 1, for wrong usage 2.",
        "",
        "| code | name | meaning |",
        "|---|---|---|",
        *(f"| `{code}` | {name} | {meaning} |" for code, name, meaning in sorted(rows)),
    ]
    return _page(lines)


def events_page() -> str:
    """Every kind of event."""
    from sightloop.loop.reactions import REACTIONS

    rows = []
    for path in sorted(SOURCE.rglob("*.py")):
        for match in re.finditer(r'= EventKind\("([^"]+)"\)', path.read_text()):
            room = path.relative_to(SOURCE).parts[0]
            answered = "yes" if match[1] in REACTIONS else ""
            rows.append(f"| `{match[1]}` | {room} | {answered} |")
    lines = [
        "# Events",
        "",
        "An event is written in the transaction of the record it tells of, names its actor, and",
        "is sealed into the audit log. The last column says which ones the loop answers.",
        "",
        "| event | told by | answered |",
        "|---|---|---|",
        *sorted(rows),
    ]
    return _page(lines)


def commands_page() -> str:
    """Every command with its options."""
    from sightloop.cli.main import app

    lines = [
        "# Commands",
        "",
        "Every command takes `--workspace FOLDER`, `--server URL` and `--json`. While a server",
        "runs on a workspace it owns the writes, and the command line calls it. Exit code 0:",
        "done; 1: refused or failed, with a reason; 2: wrong usage.",
    ]
    for name, group in _groups(typer.main.get_command(app)):
        lines += ["", f"## {name}", "", "| command | what it does |", "|---|---|"]
        lines += [f"| `{command}` | {meaning} |" for command, meaning in group]
    return _page(lines)


def operations_page() -> str:
    """Every operation of the HTTP interface."""
    from sightloop.server.operations import operations

    rows = [
        f"| `{name}` | `{one.request_type.__name__}` | {one.summary} |"
        for name, one in operations().items()
    ]
    lines = [
        "# Operations",
        "",
        "`POST /api/v1/OPERATION` with the request's fields as JSON and `Authorization: Bearer",
        "TOKEN`. `GET /api/v1` lists them with the JSON schema of each request. With `Accept:",
        "application/x-ndjson` progress comes as lines before the result.",
        "",
        "| operation | request | what it does |",
        "|---|---|---|",
        *rows,
    ]
    return _page(lines)


WRITERS: dict[str, Callable[[], str]] = {
    "settings.md": settings_page,
    "policy.md": policy_page,
    "errors.md": errors_page,
    "events.md": events_page,
    "commands.md": commands_page,
    "operations.md": operations_page,
}


def _page(lines: list[str]) -> str:
    return MADE + "\n" + "\n".join(lines) + "\n"


def _struct(path: Path, name: str) -> ast.ClassDef:
    tree = ast.parse(path.read_text())
    return next(n for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and n.name == name)


def _doc_of(path: Path, name: str) -> str:
    return " ".join((ast.get_docstring(_struct(path, name)) or "").split())


def _fields(path: Path, name: str) -> Iterator[Field]:
    body = _struct(path, name).body
    for index, node in enumerate(body):
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        after = body[index + 1] if index + 1 < len(body) else None
        meaning = ""
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            meaning = " ".join(str(after.value.value).split())
        default = ast.unparse(node.value) if node.value else "required"
        yield Field(node.target.id, ast.unparse(node.annotation), default, meaning)


def _table(fields: Iterator[Field]) -> list[str]:
    rows = [f"| `{f.name}` | `{f.kind}` | `{f.default}` | {f.meaning} |" for f in fields]
    return ["| key | type | default | meaning |", "|---|---|---|---|", *_escaped(rows)]


def _escaped(rows: list[str]) -> Iterator[str]:
    for row in rows:
        inner = re.sub(r"`[^`]*`", lambda match: match[0].replace("|", "\\|"), row)
        yield inner


def _code_of(node: ast.ClassDef) -> str:
    for part in node.body:
        target = part.targets[0] if isinstance(part, ast.Assign) else getattr(part, "target", None)
        value = getattr(part, "value", None)
        if getattr(target, "id", "") == "code" and isinstance(value, ast.Constant):
            return str(value.value)
    return ""


def _groups(root: object) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    alone = []
    for name, command in getattr(root, "commands", {}).items():
        inner = getattr(command, "commands", None)
        if inner is None:
            alone.append((f"sightloop {_usage(name, command)}", _first(command)))
        else:
            rows = [
                (f"sightloop {name} {_usage(n, c)}", _first(c)) for n, c in sorted(inner.items())
            ]
            yield name, rows
    yield "on their own", alone


def _usage(name: str, command: object) -> str:
    arguments = [
        p.name.upper()
        for p in getattr(command, "params", [])
        if p.param_type_name == "argument" and p.name
    ]
    return " ".join([name, *arguments])


def _first(command: object) -> str:
    text = getattr(command, "help", "") or ""
    return " ".join(text.partition("\n\n")[0].split())


if __name__ == "__main__":
    PAGES.mkdir(parents=True, exist_ok=True)
    for page, write in WRITERS.items():
        (PAGES / page).write_text(write())
    sys.stdout.write(f"{len(WRITERS)} pages in {PAGES}\n")
