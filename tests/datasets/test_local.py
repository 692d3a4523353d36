import os
from pathlib import Path

import pytest

from samebits.base.errors import UserError
from samebits.base.files import sha256
from samebits.commands import declare
from samebits.datasets import local
from stages import download
from tests.conftest import ROOT
from tests.made.own import edited, write_pictures, write_table

RAW = Path("data/raw")


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    """A folder to work in, whose catalog declares a table and a folder of pictures."""
    monkeypatch.chdir(tmp_path)
    for name in ("DATASET_MIRROR", "DVC_ROOT"):
        monkeypatch.delenv(name, raising=False)
    Path("data").mkdir()
    Path("data/catalog.yaml").write_bytes((ROOT / "data/catalog.yaml").read_bytes())
    write_table(Path("my.csv"), rows=90, features=4)
    write_pictures(Path("shapes"), each=5)
    Path("shapes/.DS_Store").write_text("x")
    declare.main("products", Path("my.csv"), label="target", ignore=["id"], write=True)
    declare.main("shapes", Path("shapes"), write=True)


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_copy_is_faithful():
    download.main("products")
    download.main("shapes")
    assert content(RAW / "products") == {"table.csv": Path("my.csv").read_bytes()}
    own = content(Path("shapes"))
    del own[".DS_Store"]
    assert content(RAW / "shapes") == own
    assert sorted(path.name for path in RAW.iterdir()) == ["products", "shapes"]


def test_what_is_there_and_right_is_not_copied_again(capsys):
    download.main("shapes")
    Path("shapes").rename("moved")
    capsys.readouterr()
    download.main("shapes")
    assert capsys.readouterr().out == "shapes: already there and verified\n"
    (RAW / "shapes/bar/0.png").unlink()
    with pytest.raises(UserError, match="there is no folder shapes"):
        download.main("shapes")


def test_a_leftover_does_not_stay():
    download.main("shapes")
    (RAW / "shapes/bar/left.png").write_bytes(b"x")
    download.main("shapes")
    assert "bar/left.png" not in content(RAW / "shapes")


def test_a_copy_whose_links_are_broken_is_made_anew():
    download.main("shapes")
    before = content(RAW / "shapes")
    (RAW / "shapes/bar/0.png").unlink()
    (RAW / "shapes/bar/0.png").symlink_to("/mnt/gone/cache")
    download.main("shapes")
    assert content(RAW / "shapes") == before


@pytest.mark.parametrize(("name", "path"), [("products", Path("my.csv")), ("shapes", Path("shapes"))])
def test_changed_data_are_refused_with_the_line_to_write(name, path):
    download.main(name)
    before = content(RAW / name)
    declared = sha256(path) if path.is_file() else local.digest(path)
    if path.is_file():
        edited(path, 2, 1, "77")
    else:
        (path / "bar/0.png").write_bytes((path / "bar/1.png").read_bytes())
    found = sha256(path) if path.is_file() else local.digest(path)
    (RAW / name).rename("kept")
    with pytest.raises(UserError) as refusal:
        download.main(name)
    for part in (f"SHA-256 of {path} is {found}", f"declares {declared}", f"write `sha256: {found}` there"):
        assert part in str(refusal.value)
    assert list(RAW.iterdir()) == [], "all of it, or nothing"
    Path("kept").rename(RAW / name)
    catalog = Path("data/catalog.yaml")
    catalog.write_text(catalog.read_text().replace(declared, found))
    download.main(name)
    assert content(RAW / name) != before


def test_a_mirror_may_hold_a_copy(monkeypatch):
    for name in ("products", "shapes"):
        download.main(name)
    RAW.rename("elsewhere")
    Path("my.csv").unlink()
    monkeypatch.setenv("DATASET_MIRROR", "elsewhere")
    download.main("products")
    assert content(RAW / "products") == content(Path("elsewhere/products"))
    monkeypatch.setenv("DATASET_MIRROR", "nowhere")
    (RAW / "products/table.csv").unlink()
    with pytest.raises(UserError) as refusal:
        download.main("products")
    assert str(refusal.value) == (
        "products: there is no file my.csv, nor is nowhere/products/table.csv of DATASET_MIRROR; `path` in "
        "data/catalog.yaml is relative to the folder that holds dvc.yaml"
    )


def test_an_experiment_in_a_copy_of_the_project_finds_the_data(tmp_path, monkeypatch):
    (tmp_path / "copy/data").mkdir(parents=True)
    (tmp_path / "copy/data/catalog.yaml").write_bytes(Path("data/catalog.yaml").read_bytes())
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.chdir("copy")
    download.main("products")
    assert content(RAW / "products") == {"table.csv": (tmp_path / "my.csv").read_bytes()}


@pytest.mark.parametrize(("name", "path"), [("products", "my.csv"), ("shapes", "shapes/cross/2.png")])
def test_a_pointer_is_no_change_of_the_data(name, path):
    Path(path).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    with pytest.raises(UserError, match=f"^{path} is a Git LFS pointer in place of the file"):
        download.main(name)


@pytest.mark.parametrize(("name", "link"), [("products", "my.csv"), ("shapes", "shapes")])
def test_a_link_to_what_is_not_mounted(name, link):
    Path(link).rename("moved")
    Path(link).symlink_to("/mnt/gone/data")
    with pytest.raises(UserError, match=f"^{link} is a link to /mnt/gone/data, where nothing is"):
        download.main(name)
    Path(link).unlink()
    Path(link).symlink_to("moved")
    download.main(name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read():
    Path("my.csv").chmod(0)
    with pytest.raises(UserError, match=r"my.csv cannot be read: permission denied"):
        download.main("products")
