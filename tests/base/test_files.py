import pytest

from samebits.base.files import read_json


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1, "b": {"c": 2, "c": 2}}', "the key 'c' is there twice"),
        ('{"a": NaN}', "NaN is no number of JSON's"),
        ("[-Infinity]", "-Infinity is no number of JSON's"),
        ("[" * 100_000, "it is nested too deeply"),
        ("<html>", "Expecting value"),
    ],
)
def test_what_is_no_json_is_refused(tmp_path, text, said):
    path = tmp_path / "file.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=said):
        read_json(path)


def test_a_file_of_json_is_read(tmp_path):
    path = tmp_path / "file.json"
    path.write_text('{"a": [1, 2.5, null], "b": {"a": "ü"}}', encoding="utf-8")
    assert read_json(path) == {"a": [1, 2.5, None], "b": {"a": "ü"}}
