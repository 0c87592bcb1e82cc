"""Metadata of recordings: read in every manner, wrong rows named by line."""

import pytest

from ddpmlib.audio.metadata import FOLDERS, NAMES, RecordingMetadata, read_metadata
from ddpmlib.storage.paths import fetch

FILES = ("a.wav", "b.ogg", "deep/c.wav", "deep/d.wav", "other/d.flac")
TEXTS = {"a.wav": "One.", "b.ogg": "Two, three!", "deep/c.wav": "Vier"}


def read(tmp_path, content, source="metadata.csv", files=FILES) -> RecordingMetadata:
    data = content if isinstance(content, bytes) else content.encode()
    (tmp_path / source).write_bytes(data)
    return read_metadata(source, tmp_path, files)


def texts(metadata: RecordingMetadata) -> dict:
    return {file: row["text"] for file, row in metadata.rows.items()}


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
def test_every_manner_gives_the_same(content, tmp_path):
    metadata = read(tmp_path, content)
    assert texts(metadata) == TEXTS
    assert metadata.columns == ("text",)
    assert metadata.problems == ()


def test_other_columns_are_labels_and_what_is_missing_is_none(tmp_path):
    metadata = read(tmp_path, "File, Text ,speaker,mood\na,Hi,ann,\nb,,bob,sad\n")
    assert metadata.columns == ("text", "speaker", "mood")
    assert metadata.value("a.wav", "speaker") == "ann"
    assert metadata.value("a.wav", "mood") is None
    assert metadata.value("b.ogg", "text") is None
    assert metadata.value("deep/c.wav", "speaker") is None
    assert metadata.labels("b.ogg") == ("bob", "sad")
    assert metadata.labels("a.wav") == ("ann", None)


def test_wrong_rows_are_named_by_line_and_the_others_read(tmp_path):
    content = 'file,text\na,One.\nb\nx,Nobody\na,Again\nd,Which\nc,"Vier\nfünf"\nb,x,y\n'
    metadata = read(tmp_path, content)
    assert texts(metadata) == {"a.wav": "One.", "deep/c.wav": "Vier\nfünf"}
    assert metadata.problems == (
        "line 3: 1 fields; needed: file,text",
        "line 4: file 'x' is the name of no recording",
        "line 5: file 'a' once more",
        "line 6: file 'd' is ambiguous: deep/d.wav and other/d.flac; needed: its folder too",
        "line 9: 3 fields; needed: file,text",
    )


def test_a_quote_that_does_not_end_costs_what_follows_it_only(tmp_path):
    metadata = read(tmp_path, 'file,text\na,One.\nb,"Two\nc,Vier\n')
    assert texts(metadata) == {"a.wav": "One."}
    assert len(metadata.problems) == 1
    assert metadata.problems[0].startswith("line 3: ")


def test_quotes_of_ljspeech_are_only_characters(tmp_path):
    assert texts(read(tmp_path, 'a|"One" he said\nb|x\n'))["a.wav"] == '"One" he said'


def test_a_whole_path_goes_before_a_name(tmp_path):
    metadata = read(tmp_path, "a|root\nin/a|deep\n", files=("a.wav", "in/a.wav"))
    assert texts(metadata) == {"a.wav": "root", "in/a.wav": "deep"}


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
def test_what_is_no_metadata_is_refused(content, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, content)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=rf"nothing\.csv does not exist.*{tmp_path}"):
        read_metadata("nothing.csv", tmp_path, FILES)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(ValueError, match="a folder; needed: a CSV file, or 'folders'"):
        read_metadata(".", tmp_path, FILES)


def test_a_file_may_lie_elsewhere(tmp_path):
    (tmp_path / "my.csv").write_text("a|One.\n")
    (tmp_path / "voice").mkdir()
    metadata = read_metadata(tmp_path / "my.csv", tmp_path / "voice", FILES)
    assert texts(metadata) == {"a.wav": "One."}


def test_without_a_file_paths_give_speakers_or_texts():
    speakers = read_metadata(FOLDERS, "", FILES)
    assert [speakers.value(f, "speaker") for f in FILES] == [None, None, "deep", "deep", "other"]
    names = read_metadata(NAMES, "", ("all-circuits_busy-now.g722", "digits/7.wav"))
    assert names.value("all-circuits_busy-now.g722", "text") == "all circuits busy now"
    assert names.value("digits/7.wav", "text") == "7"
    apart = "gru\u0308\u00dfe.wav"  # as macOS writes it
    assert read_metadata(NAMES, "", (apart,)).value(apart, "text") == "gr\u00fc\u00dfe"
    none = read_metadata("", "", FILES)
    assert none.columns == ()
    assert none.labels("a.wav") == ()


def test_names_that_look_the_same_are_the_same(tmp_path):
    apart, together = "Jose\u0301", "Jos\u00e9"
    for inside, outside in ((apart, together), (together, apart)):
        content = f"file,speaker\n{inside},{outside}\n"
        metadata = read(tmp_path, content, files=(f"{outside}.wav",))
        assert metadata.value(f"{outside}.wav", "speaker") == together
        assert metadata.problems == ()
    folders = read_metadata(FOLDERS, "", (f"{apart}/a.wav", "caf\udce9/a.wav"))
    assert folders.value(f"{apart}/a.wav", "speaker") == together
    assert folders.value("caf\udce9/a.wav", "speaker") == "caf\\udce9"


def test_the_sample_corpus_has_a_text_for_each_recording():
    files = [path.name for path in sorted(fetch("sample_corpus").glob("*.ogg"))]
    metadata = read_metadata("sentences.csv", "sample_corpus", files)
    assert len(metadata.rows) == len(files) == 176
    assert metadata.problems == ()
