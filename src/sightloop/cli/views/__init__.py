"""How results look in a terminal, one module per family of commands; pure functions to rich."""

__all__ = ["data", "data_curation", "fleet", "loop", "models", "review", "runs"]
