import pytest

from samebits.base.address import secrets, shown, without


@pytest.mark.parametrize(
    ("uri", "printed"),
    [
        ("http://ann:s3cret@host:5000/base", "http://host:5000/base"),
        ("https://ann:p@s/s3cret@host", "https://host"),
        ("postgresql://ann:s3cret@host/db?sslpassword=s3cret", "postgresql://host/db"),
        ("postgresql://host/db?password=s3@cret", "postgresql://***"),
        ("http://ann:s3?cret@host/x", "http://***"),
        ("http://ann:s3#cret@host/x", "http://***"),
        ("http://host/#token=s3cret", "http://host/"),
        ("ann:s3cret@host:5000", "host:5000"),
        ("ann:s3cret@host://x", "***"),
        ("http://host:5000", "http://host:5000"),
        ("s3://bucket/seeds", "s3://bucket/seeds"),
        ("/home/a@b/seeds", "/home/a@b/seeds"),
    ],
)
def test_an_address_is_shown_without_its_secrets(uri, printed):
    assert shown(uri) == printed


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("http://ann:s3cret@host", "Failed to parse: http://ann:s3cret@host/api"),
        ("http://s3cret@host", "no user 's3cret'"),
        ("postgresql://ann:s3%40cr%2Fet@host/db", 'FATAL: password "s3@cr/et" of ann is wrong'),
        ("postgresql://ann:s3 cr/et@host/db", "postgresql://ann:s3%20cr%2Fet@host/db s3+cr%2Fet"),
        ("postgresql://ann:s3\"cr'et@host/db", repr("of s3\"cr'et")),
        ("mysql://host/db?password=s3cret", "option s3cret"),
        ("postgresql://host/db?sslpassword=s3@cret", "option s3@cret"),
        ("postgresql://host/db?x=s3%40cret", "option s3@cret"),
        ("htp://ann:s3?cr@et@host", "no ann:s3?cr@et"),
        ("ann:s3cret@host", "no s3cret"),
    ],
)
def test_what_a_library_says_of_it_holds_no_secret(uri, said):
    printed = without(secrets(uri), said)
    assert "***" in printed
    assert not [part for part in ("s3", "cr", "et") if part in printed.replace("secret", "")]


def test_what_is_no_secret_stays():
    assert without(secrets("postgresql://ann@host/db?timeout=30"), "role ann waits 30 s") == "role ann waits 30 s"
