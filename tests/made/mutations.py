"""Files as they come when something went wrong, or somebody meant ill: by number, so that each can be had again."""

import random

LINES = [
    b"<<<<<<< HEAD", b"=======", b">>>>>>> other", b"a: &a [*a]", b"- " * 200 + b"x", b"x: !!binary @@", b"? [a, b]",
    b"x: !!int x", b"y: 2001-13-45", b"z: " + b"9" * 5000, b"&a x: *a", b"<<: *a", b"%YAML 9.9", b"---", b"...",
]  # fmt: skip
BITS = [
    b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b"\t", b"null", b"NaN", b"1e999", b"-0", b"[" * 500, b'{"a":' * 300,
    b"[" * 100_000,
    b"*a", b"&a ", b"!!set ", b"!x ", b"'", b'"', b"0x" + b"f" * 4000, b"\xf0\x9f\xa6\x8a", b",,", b"1_0", b"-1",
]  # fmt: skip


def mutated(data: bytes, number: int) -> bytes:
    """Return `data` with a few faults in it, drawn by lot from `number`."""
    draw = random.Random(number)
    for _ in range(draw.choice([1, 1, 1, 2, 5])):
        data = draw.choice(WAYS)(bytearray(data), draw)
    return data


def flipped(data: bytearray, draw: random.Random) -> bytes:
    """A bit, or some."""
    for _ in range(draw.choice([1, 1, 8]) if data else 0):
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    return bytes(data)


def cut(data: bytearray, draw: random.Random) -> bytes:
    """Nothing after a place."""
    return bytes(data[: draw.randrange(len(data) + 1)])


def without(data: bytearray, draw: random.Random) -> bytes:
    """A part that is not there."""
    start = draw.randrange(len(data) + 1)
    return bytes(data[:start] + data[start + draw.choice([1, 4, 40, 400]) :])


def with_more(data: bytearray, draw: random.Random) -> bytes:
    """Something that should not be there."""
    start = draw.randrange(len(data) + 1)
    return bytes(data[:start] + draw.choice(BITS) + data[start:])


def instead(data: bytearray, draw: random.Random) -> bytes:
    """Something else in the place of a word or a number."""
    words = [i for i in range(len(data)) if chr(data[i]).isalnum() and (i == 0 or not chr(data[i - 1]).isalnum())]
    if not words:
        return bytes(data)
    start = end = draw.choice(words)
    while end < len(data) and (chr(data[end]).isalnum() or data[end] in b"._"):
        end += 1
    return bytes(data[:start] + draw.choice(BITS) + data[end:])


def lines(data: bytearray, draw: random.Random) -> bytes:
    """Lines that are gone, doubled, changed places, or new."""
    rows = bytes(data).split(b"\n")
    i, j = draw.randrange(len(rows)), draw.randrange(len(rows))
    match draw.randrange(4):
        case 0:
            del rows[i]
        case 1:
            rows.insert(j, rows[i])
        case 2:
            rows[i], rows[j] = rows[j], rows[i]
        case 3:
            rows.insert(i, draw.choice(LINES))
    return b"\n".join(rows)


def again(data: bytearray, draw: random.Random) -> bytes:
    """A part of it once more, elsewhere."""
    start, to = draw.randrange(len(data) + 1), draw.randrange(len(data) + 1)
    return bytes(data[:to] + data[start : start + draw.choice([1, 4, 40, 400])] + data[to:])


WAYS = (flipped, cut, without, with_more, instead, lines, lines, again)
