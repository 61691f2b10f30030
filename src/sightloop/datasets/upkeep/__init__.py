"""Keeping the store small, whole and lawful: collect garbage, verify, erase for good.

What is needed is found from below: refs, and every digest that any table or file of the workspace
names, whichever room wrote it. Nothing here knows what those rooms mean by it, and nothing is
repaired or removed in passing.
"""

__all__ = [
    "account",
    "collecting",
    "erasing",
    "errors",
    "flaws",
    "marking",
    "mentions",
    "selecting",
    "store",
    "surveying",
    "verifying",
    "whereabouts",
]
