"""How a folder of pictures is laid out: parted or not, and of which sizes."""

from collections import Counter
from pathlib import Path

from samebits.base.errors import UserError
from samebits.datasets.pictures import decode

SPLITS = ["test", "train"]  # the sub-folders of a folder that is parted already
KINDRED = {*SPLITS, "training", "testing", "val", "valid", "validation", "dev", "eval", "holdout"}


def folders(path: Path) -> list[str]:
    """Return the names of the folders in `path`, in order, without hidden ones."""
    return sorted(each.name for each in path.iterdir() if each.is_dir() and not each.name.startswith("."))


def is_parted(path: Path) -> bool:
    """Whether `path` has train/ and test/. Raises UserError if it is parted otherwise, as into three."""
    below = folders(path)
    if below == SPLITS:
        return True
    parts = [name for name in below if name.lower() in KINDRED]
    if len(parts) > 1 and any(folders(path / name) for name in parts):  # classes have no folders in them
        raise UserError(
            f"{path} has the folders {', '.join(below)}, where train and test alone are wanted: name the two so, and "
            "move the pictures of any other into train, or the folder elsewhere (preprocess.validation_size in "
            "params.yaml holds pictures of train out for validation)"
        )
    return False


def odd_size(path: Path, files: list[Path]) -> str:
    """Say which of the pictures in `path` has another size than most, and what is usual."""
    sizes = {name: decode((path / name).read_bytes(), str(path / name)).size for name in files}
    counts = Counter(sizes.values()).most_common()
    usual, many = counts[0]
    odd = next(name for name, size in sizes.items() if size != usual)
    (width, height), (usual_width, usual_height) = sizes[odd], usual
    return (
        f"{path / odd} is {height} pixels high and {width} wide, but {many} of {len(files)} pictures are "
        f"{usual_height} high and {usual_width} wide, and all must have one size: {len(counts)} sizes were found"
    )
