"""Sightloop's dataset commands beside DVC and Oxen, on the same files: `make bench-data`.

`generate` makes files, `measure` times processes, `tools` says how each tool does each thing,
`scenarios` plays the numbers of the issue one after another, `report` writes them down. Nothing
here is imported by the product.
"""
