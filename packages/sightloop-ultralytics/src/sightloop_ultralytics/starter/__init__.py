"""The starter checkpoint: weights to begin from without a network, and how they were made.

`scenes` draws what it learned from, `train` makes it anew, `starter.json` keeps its numbers.
"""
