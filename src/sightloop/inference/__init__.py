"""From the bytes of an image and of a model file to objects found, and to numbers about both.

Decode, letterbox, run, read the head, suppress: evaluation and devices call the same functions, so
what was gated is what is served. The room takes and returns numpy arrays and plain values; it never
opens a database or a socket, never writes a file, and importing it loads neither OpenCV nor ONNX
Runtime.
"""

__all__ = [
    "building",
    "classification",
    "containers",
    "descriptor",
    "detector",
    "drawing",
    "errors",
    "geometry",
    "heads",
    "histograms",
    "images",
    "keypoints",
    "letterbox",
    "masks",
    "measures",
    "model_file",
    "novelty",
    "openvino_runtime",
    "quantisation",
    "rotated",
    "runtime",
    "runtimes",
    "seen",
    "shape_agreement",
    "suppression",
    "thumbnail",
    "uncertainty",
]
