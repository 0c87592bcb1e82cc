"""What is known of recordings: read in every manner, wrong rows named by line."""

import pytest

from ddpmlib.storage import fetch
from ddpmlib.table import FOLDERS, NAMES, Table, read_table

FILES = ("a.wav", "b.ogg", "deep/c.wav", "deep/d.wav", "other/d.flac")
TEXTS = {"a.wav": "One.", "b.ogg": "Two, three!", "deep/c.wav": "Vier"}


def read(tmp_path, content, source="table.csv", files=FILES) -> Table:
    data = content if isinstance(content, bytes) else content.encode()
    (tmp_path / source).write_bytes(data)
    return read_table(source, tmp_path, files)


def texts(table: Table) -> dict:
    return {file: row["text"] for file, row in table.rows.items()}


@pytest.mark.parametrize(
    "content",
    [
        "a|One.\nb|Two, three!\nc|Vier\n",
        "a|1.|One.\nb|2, 3!|Two, three!\ndeep/c|Vier|\n",
        "a.wav|One.\r\n\r\nb.ogg|Two, three!\r\nc.wav|Vier\r\n",
        'file,text\na,One.\nb,"Two, three!"\nc,Vier\n',
        '\n"file","text"\n"a","One."\n"b","Two, three!"\n"c","Vier"\n',
        "\ufefffile;text\na;One.\nb;Two, three!\nc;Vier",
        "text\tfile\nOne.\ta\nTwo, three!\tb\nVier\tdeep/c\n",
        "; prompts\n\na: One.\nb: Two, three!\ndeep/c: Vier\n",
    ],
    ids=["ljspeech", "normalised", "windows", "csv", "quoted", "bom", "tabs", "asterisk"],
)
def test_every_manner_says_the_same(content, tmp_path):
    table = read(tmp_path, content)
    assert texts(table) == TEXTS
    assert table.columns == ("text",)
    assert table.problems == ()


def test_other_columns_are_labels_and_what_is_missing_says_nothing(tmp_path):
    table = read(tmp_path, "File, Text ,speaker,mood\na,Hi,ann,\nb,,bob,sad\n")
    assert table.columns == ("text", "speaker", "mood")
    assert table.said("a.wav", "speaker") == "ann"
    assert table.said("a.wav", "mood") is None
    assert table.said("b.ogg", "text") is None
    assert table.said("deep/c.wav", "speaker") is None
    assert table.labels("b.ogg") == ("bob", "sad")
    assert table.labels("a.wav") == ("ann", None)


def test_wrong_rows_are_named_by_line_and_the_others_kept(tmp_path):
    content = 'file,text\na,One.\nb\nx,Nobody\na,Again\nd,Which\nc,"Vier\nfünf"\nb,x,y\n'
    table = read(tmp_path, content)
    assert texts(table) == {"a.wav": "One.", "deep/c.wav": "Vier\nfünf"}
    assert table.problems == (
        "line 3: 1 fields; needed: file,text",
        "line 4: file 'x' is the name of no recording",
        "line 5: file 'a' once more",
        "line 6: file 'd' is the name of several recordings",
        "line 9: 3 fields; needed: file,text",
    )


def test_a_quote_that_does_not_end_costs_what_follows_it_only(tmp_path):
    table = read(tmp_path, 'file,text\na,One.\nb,"Two\nc,Vier\n')
    assert texts(table) == {"a.wav": "One."}
    assert len(table.problems) == 1
    assert table.problems[0].startswith("line 3: ")


def test_quotes_of_ljspeech_are_only_characters(tmp_path):
    assert texts(read(tmp_path, 'a|"One" he said\nb|x\n'))["a.wav"] == '"One" he said'


def test_a_whole_path_goes_before_a_name(tmp_path):
    table = read(tmp_path, "a|root\nin/a|deep\n", files=("a.wav", "in/a.wav"))
    assert texts(table) == {"a.wav": "root", "in/a.wav": "deep"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("hello", "begins with 'hello'; needed: a first line such as file,text"),
        ("", "begins with ''"),
        ("name,text\na,b\n", "begins with 'name,text'"),
        ("file,text,text\na,b,c\n", "has a column 'text'; needed: different plain names"),
        ("file,a b\na,b\n", "has a column 'a b'"),
        (f"file,{'a' * 41}\na,b\n", "different plain names of at most 40 letters"),
        (f"a|{'b' * 200_000}\n", "has a first line that is no row: field larger than"),
        (b"file,text\na,\xff\n", r"is not UTF-8 \(byte 12\)"),
    ],
)
def test_what_is_no_table_is_refused(content, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, content)


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=rf"nothing\.csv does not exist.*{tmp_path}"):
        read_table("nothing.csv", tmp_path, FILES)


def test_a_folder_is_no_table(tmp_path):
    with pytest.raises(ValueError, match="a folder; needed: a CSV file, or 'folders'"):
        read_table(".", tmp_path, FILES)


def test_a_table_may_lie_elsewhere(tmp_path):
    (tmp_path / "my.csv").write_text("a|One.\n")
    (tmp_path / "voice").mkdir()
    table = read_table(tmp_path / "my.csv", tmp_path / "voice", FILES)
    assert texts(table) == {"a.wav": "One."}


def test_without_a_table_paths_say_something_or_nothing_does():
    speakers = read_table(FOLDERS, "", FILES)
    assert [speakers.said(f, "speaker") for f in FILES] == [None, None, "deep", "deep", "other"]
    names = read_table(NAMES, "", ("all-circuits_busy-now.g722", "digits/7.wav"))
    assert names.said("all-circuits_busy-now.g722", "text") == "all circuits busy now"
    assert names.said("digits/7.wav", "text") == "7"
    apart = "gru\u0308\u00dfe.wav"  # as macOS writes it
    assert read_table(NAMES, "", (apart,)).said(apart, "text") == "gr\u00fc\u00dfe"
    nothing = read_table("", "", FILES)
    assert nothing.columns == ()
    assert nothing.labels("a.wav") == ()


def test_names_that_look_the_same_are_the_same(tmp_path):
    apart, together = "Jose\u0301", "Jos\u00e9"
    for inside, outside in ((apart, together), (together, apart)):
        content = f"file,speaker\n{inside},{outside}\n"
        table = read(tmp_path, content, files=(f"{outside}.wav",))
        assert table.said(f"{outside}.wav", "speaker") == together
        assert table.problems == ()
    folders = read_table(FOLDERS, "", (f"{apart}/a.wav", "caf\udce9/a.wav"))
    assert folders.said(f"{apart}/a.wav", "speaker") == together
    assert folders.said("caf\udce9/a.wav", "speaker") == "caf\\udce9"


def test_the_sample_corpus_has_a_text_for_each_recording():
    files = [path.name for path in sorted(fetch("sample_corpus").glob("*.ogg"))]
    table = read_table("sentences.csv", "sample_corpus", files)
    assert len(table.rows) == len(files) == 176
    assert table.problems == ()
