"""Files of one JSON object a line: what is finished is on disk, and a crash costs one line."""

import pytest
from cases import full_disk, leftovers, one_sentence

from ddpmlib.storage.json_lines import appender, read_lines, write_lines

ODD = [
    {"file": "a\u2028b\x85\nc.wav"},
    {"file": "長𠀀ß"},
    {"file": "bad\udcff.wav", "n": [1, None]},
]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some.jsonl"


def test_what_is_written_is_read(path):
    write_lines(path, ODD)
    assert read_lines(path) == ODD
    assert len(path.read_bytes().split(b"\n")) == len(ODD) + 1
    path.read_bytes().decode("utf-8")
    write_lines(path, [])
    assert read_lines(path) == []


def test_there_is_nothing_in_a_file_that_does_not_exist(path):
    assert read_lines(path) == []


def test_lines_are_added_to_what_is_there(path):
    write_lines(path, ODD[:1])
    for values in ODD[1:]:
        with appender(path) as append:
            append(values)
    assert read_lines(path) == ODD


def test_each_line_is_on_disk_at_once(path):
    with appender(path) as append:
        for count, values in enumerate(ODD, 1):
            append(values)
            assert read_lines(path) == ODD[:count]


def test_a_line_that_was_cut_short_costs_itself_alone(path):
    write_lines(path, ODD)
    whole = path.read_bytes()
    last = len(whole.rstrip(b"\n").rpartition(b"\n")[2])
    for cut in range(2, last + 1):  # also through a character
        path.write_bytes(whole[:-cut])
        assert read_lines(path) == ODD[:2], cut
        with appender(path) as append:
            append(ODD[2])
        assert read_lines(path) == ODD, cut


@pytest.mark.parametrize(
    "line", [b"", b"null", b"3", b'"text"', b"[1, 2]", b"{", b"\xff\xfe", b"{]"]
)
def test_what_is_no_object_is_left_out(line, path):
    path.write_bytes(b'{"n": 1}\n' + line + b'\n{"n": 2}\n')
    assert read_lines(path) == [{"n": 1}, {"n": 2}]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(path, capsys):
    write_lines(path, ODD)
    with full_disk(100), pytest.raises(OSError, match="cannot write") as caught:
        write_lines(path, [{"text": "x" * 1000}])
    assert one_sentence(caught.value, path)
    assert read_lines(path) == ODD
    assert leftovers(path.parent) == []


def test_a_line_that_finds_no_space_names_the_file(path, capsys):
    with (
        full_disk(100),
        pytest.raises(OSError, match="cannot write") as caught,
        appender(path) as append,
    ):
        append({"text": "x" * 1000})
    assert one_sentence(caught.value, path)


def test_a_folder_that_is_not_there_names_the_file(path):
    lost = path.parent / "none" / path.name
    with (
        pytest.raises(OSError, match=r"cannot write .*none/some\.jsonl: No such file"),
        appender(lost),
    ):
        pass


def test_an_error_between_lines_is_no_failed_write(path):
    def crash():
        with appender(path) as append:
            append({"n": 1})
            raise ValueError("mine")

    with pytest.raises(ValueError, match=r"^mine$"):
        crash()
    assert read_lines(path) == [{"n": 1}]
