"""TensorBoard's event files: read whole and checked, and written for TensorBoard to show.

Only `reading` touches files. Nothing here needs TensorBoard or protobuf: the format is small, it is
`docs/formats/event-files.md`, and reading it column by column is what makes it quick.
"""

__all__ = ["crc32c", "events", "reading", "records", "scalars", "wire", "writing"]
