"""The command line: parse, call one service, render its result. It holds no rules of its own."""

__all__ = ["caller", "command", "main", "render"]
