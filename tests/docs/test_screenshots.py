"""docs/screenshots.py starts its servers as a user does."""

from urllib.request import urlopen

from docs.screenshots import server
from tests.conftest import ROOT
from tests.made.trained import digits


def test_a_server_of_which_a_picture_is_taken(monkeypatch):
    monkeypatch.chdir(digits())
    with server("serve", "digits", "--port", "0", PYTHONPATH=str(ROOT)) as address, urlopen(address) as page:
        assert page.status == 200
