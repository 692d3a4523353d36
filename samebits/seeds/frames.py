"""Bytes over a pipe, in frames: a length in eight bytes, then so many."""

from typing import IO


def send(to: IO[bytes], data: bytes) -> None:
    """Write a frame. Raises OSError if nobody reads it."""
    to.write(len(data).to_bytes(8, "little"))
    to.write(data)
    to.flush()


def receive(source: IO[bytes]) -> bytes | None:
    """Read a frame; None if there is no whole one any more."""
    head = source.read(8)
    length = int.from_bytes(head, "little")
    data = source.read(length) if len(head) == 8 else b""
    return data if len(head) == 8 and len(data) == length else None
