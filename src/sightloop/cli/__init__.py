"""The command line: parse, call one service, render its result. It holds no rules of its own."""

__all__ = [
    "caller",
    "checkup",
    "command",
    "data",
    "fleet",
    "loop",
    "main",
    "models",
    "render",
    "review",
    "runs",
    "views",
    "workspace",
]
