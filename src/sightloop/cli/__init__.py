"""The command line: parse, call one service, render its result. It holds no rules of its own."""

__all__ = [
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
