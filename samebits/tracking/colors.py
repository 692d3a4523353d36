"""A colour in MLflow's charts for each dataset and run: without one it takes any of a few, and two may get the same."""

import colorsys

TURN = 0.618034  # golden ratio: whatever number of datasets there is, their colours lie far apart
ROOM = 0.14  # of the circle of hues, which belongs to one run: the report's colours are further apart than that
SHADES = (0.0, -0.08, 0.1)  # of lightness


def color(base: str, place: int) -> str:
    """Return the colour for the dataset at `place` in the catalog of a run whose colour in the report is `base`."""
    red, green, blue = (int(base[at : at + 2], 16) / 255 for at in (1, 3, 5))
    hue, lightness, saturation = colorsys.rgb_to_hls(red, green, blue)
    hue, lightness = hue + place * TURN % 1 * ROOM, lightness + SHADES[place % len(SHADES)]
    return "#" + "".join(f"{round(255 * part):02x}" for part in colorsys.hls_to_rgb(hue % 1, lightness, saturation))
