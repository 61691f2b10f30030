"""The command line: parse, call one service, render its result. It holds no rules of its own."""

__all__ = [
    "access",
    "command",
    "data",
    "fleet",
    "loop",
    "main",
    "models",
    "notify",
    "render",
    "review",
    "runs",
    "views",
    "workspace",
]
