"""From the bytes of an image and of a model file to objects found, and to numbers about both.

Decode, letterbox, run, read the head, suppress: evaluation and devices call the same functions, so
what was gated is what is served. The room takes and returns numpy arrays and plain values; it never
opens a database or a socket, never writes a file, and importing it loads neither OpenCV nor ONNX
Runtime.
"""

__all__ = [
    "containers",
    "descriptor",
    "detector",
    "errors",
    "geometry",
    "heads",
    "histograms",
    "images",
    "letterbox",
    "measures",
    "model_file",
    "novelty",
    "runtime",
    "suppression",
    "thumbnail",
    "uncertainty",
]
