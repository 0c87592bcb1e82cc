"""Tables in the forms in which corpora are published: nothing lost, nothing guessed in silence."""

import pytest

from ddpmlib.audio.metadata import RecordingMetadata, read_metadata

FILES = tuple(f"wavs/LJ{i}.wav" for i in range(1, 7))
NAMES = tuple(f"LJ{i}" for i in range(1, 7))
TEXTS = ("The kettle sang", "3 boats lay there", "A green door", "Snow, 1 foot", "He won", "Lost")
WORDS = ("The kettle sang", "three boats lay there", "A green door", "Snow, one foot", "He won", "")
SPEAKERS = ("anna", "bob") * 3
SAID = dict(zip(FILES, TEXTS, strict=True))


def lines(*columns, between="|", first="") -> str:
    """A table with a line for each recording."""
    return first + "\n".join(between.join(fields) for fields in zip(*columns, strict=True)) + "\n"


def read(folder, content, source="metadata.csv", files=FILES) -> RecordingMetadata:
    data = content if isinstance(content, bytes) else content.encode()
    (folder / source).write_bytes(data)
    return read_metadata(source, folder, files)


def column(metadata: RecordingMetadata, name: str) -> dict:
    return {file: metadata.value(file, name) for file in FILES}


@pytest.mark.parametrize("between", ["|", "\t"])
@pytest.mark.parametrize("fields", [(NAMES, TEXTS, SPEAKERS), (NAMES, SPEAKERS, TEXTS)])
def test_a_speaker_in_a_list_of_three_fields_is_no_text(fields, between, tmp_path):
    metadata = read(tmp_path, lines(*fields, between=between))
    assert column(metadata, "text") == SAID
    assert column(metadata, "speaker") == dict(zip(FILES, SPEAKERS, strict=True))
    assert metadata.problems == ()


def test_one_speaker_for_all_is_a_speaker_too(tmp_path):
    metadata = read(tmp_path, lines(NAMES, TEXTS, ["anna"] * 6))
    assert column(metadata, "text") == SAID
    assert set(column(metadata, "speaker").values()) == {"anna"}


def test_seconds_in_a_third_field_are_left_out_and_that_is_said(tmp_path):
    metadata = read(tmp_path, lines(NAMES, TEXTS, [f"1.{i}" for i in range(6)]))
    assert metadata.columns == ("text",)
    assert column(metadata, "text") == SAID
    assert metadata.notes == ("the third field, such as '1.0', is a number: left out",)


def test_a_normalised_text_goes_before_the_text(tmp_path):
    wanted = {file: b or a for file, a, b in zip(FILES, TEXTS, WORDS, strict=True)}
    assert column(read(tmp_path, lines(NAMES, TEXTS, WORDS)), "text") == wanted


@pytest.mark.parametrize(
    "fields",
    [
        (NAMES, TEXTS, ("84", "86") * 3),  # speakers, or seconds
        (NAMES, TEXTS, ("16000", "16001", "16002", "16003", "16004", "16005")),
        (NAMES, ("yes", "no") * 3, SPEAKERS),
        (NAMES, TEXTS, ("loud", "dim", "near", "far", "left", "right")),
        (NAMES, TEXTS, TEXTS, ("1.5",) * 6),
        (NAMES[:1], TEXTS[:1], ("anna",)),
    ],
    ids=["numbers", "counts", "two labels", "remarks", "four", "one line"],
)
def test_what_would_be_a_guess_is_refused_with_the_line_to_write(fields, tmp_path):
    with pytest.raises(ValueError, match="would be a guess; needed: a first line") as caught:
        read(tmp_path, lines(*fields))
    assert "'file|text|speaker'" in str(caught.value)
    assert f"'LJ1|{fields[1][0]}" in str(caught.value)
    names = "|".join(("file", "text", "speaker", "note")[: len(fields)])
    given = read(tmp_path, lines(*fields, first=f"{names}\n"))
    assert given.value(FILES[0], "text") == fields[1][0]
    assert given.value(FILES[0], "speaker") == fields[2][0]


@pytest.mark.parametrize(
    ("first", "between"),
    [
        ("client_id\tpath\tsentence\n", "\t"),
        ("speaker_id,file_name,transcription\n", ","),
        ("speaker;wav_filename;transcript\n", ";"),
        ("Speaker|File|Text\n", "|"),
    ],
)
def test_columns_have_the_names_that_publishers_give_them(first, between, tmp_path):
    texts = [text.replace(",", "") for text in TEXTS]
    metadata = read(tmp_path, lines(SPEAKERS, NAMES, texts, between=between, first=first))
    assert metadata.columns == ("speaker", "text")
    assert column(metadata, "text") == dict(zip(FILES, texts, strict=True))
    assert column(metadata, "speaker") == dict(zip(FILES, SPEAKERS, strict=True))


def test_our_names_go_before_those_of_others(tmp_path):
    metadata = read(tmp_path, "file,path,text,sentence\nLJ1,elsewhere.mp3,Hello,Good day\n")
    assert metadata.columns == ("path", "text", "sentence")
    assert metadata.rows[FILES[0]]["text"] == "Hello"


@pytest.mark.parametrize("between", [",", ";", "\t"])
def test_columns_without_a_name_are_left_out_and_that_is_said(between, tmp_path):
    numbers, nothing = map(str, range(6)), [""] * 6
    texts = [text.replace(",", "") for text in TEXTS]
    first = between.join(("", "file", "text", "", "speaker", "", "\n"))
    columns = numbers, NAMES, texts, nothing, SPEAKERS, nothing, nothing
    metadata = read(tmp_path, lines(*columns, between=between, first=first))
    assert metadata.columns == ("text", "speaker")
    assert column(metadata, "text") == dict(zip(FILES, texts, strict=True))
    assert column(metadata, "speaker") == dict(zip(FILES, SPEAKERS, strict=True))
    assert metadata.notes == ("4 columns without a name are left out",)
    assert not metadata.problems


def test_a_recording_called_audio_makes_no_line_of_names(tmp_path):
    metadata = read(tmp_path, "audio|A text\nwav|More\n", files=("audio.wav", "wav.wav"))
    assert {file: row["text"] for file, row in metadata.rows.items()} == {
        "audio.wav": "A text",
        "wav.wav": "More",
    }


@pytest.mark.parametrize("first", ["", "file{}text\n"])
@pytest.mark.parametrize("between", ["|", "\t"])
def test_quotes_in_lists_are_letters_and_cost_no_row(between, first, tmp_path):
    texts = ('"Where?" she asked.', '"Never ended', "5'\"", '"All of it."', 'A "B"', '""')
    content = lines(NAMES, texts, between=between, first=first.format(between))
    assert column(read(tmp_path, content), "text") == dict(zip(FILES, texts, strict=True))


def test_doubled_quotes_are_those_of_a_program(tmp_path):
    content = 'file\ttext\nLJ1\t"""Where?"" she asked."\nLJ2\t"Hm."\n'
    texts = column(read(tmp_path, content), "text")
    assert (texts[FILES[0]], texts[FILES[1]]) == ('"Where?" she asked.', '"Hm."')
    quoted = read(tmp_path, '"file"\t"text"\n"LJ1"\t"One\ttwo"\n')
    assert quoted.value(FILES[0], "text") == "One\ttwo"


def test_a_quote_in_the_middle_of_a_csv_row_costs_nothing(tmp_path):
    content = 'file,text\nLJ1,"Where?" she asked.\nLJ2,"Two, three"\nLJ3,"No, no" she said\nLJ4,x\n'
    metadata = read(tmp_path, content)
    texts = [metadata.value(file, "text") for file in FILES[:4]]
    assert texts == ['"Where?" she asked.', "Two, three", None, "x"]
    assert metadata.problems == ("line 4: 3 fields; needed: file,text",)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-8"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_what_excel_saves_is_read(encoding, end, tmp_path):
    content = 'file\ttext\n"LJ1"\tÄ\nLJ2\t"Two ""big"" boats"\n'
    metadata = read(tmp_path, content.replace("\n", end).encode(encoding))
    wanted = ("Ä", 'Two "big" boats')
    if encoding == "utf-16":  # which quotes fields; in others the quotes around LJ1 are letters
        assert tuple(metadata.value(file, "text") for file in FILES[:2]) == wanted
    assert metadata.value(FILES[1], "text") == wanted[1]


def test_an_encoding_that_is_not_known_is_refused_with_the_way_out(tmp_path):
    for encoding in ("utf-16-le", "cp1252"):
        with pytest.raises(ValueError, match=r"not UTF-8 \(byte .*; needed: UTF-8, in Excel 'CSV"):
            read(tmp_path, "file,text\nLJ1,Ä\n".encode(encoding))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_textgrid_is_no_table(encoding, tmp_path):
    content = 'File type = "ooTextFile"\nObject class = "TextGrid"\n'.encode(encoding)
    for source in ("LJ1.TextGrid", "LJ1.txt"):
        with pytest.raises(ValueError, match="is a TextGrid, of one recording; needed: a table"):
            read(tmp_path, content, source)


def test_a_list_of_librispeech_is_read_as_a_table(tmp_path):
    assert column(read(tmp_path, lines(NAMES, TEXTS, between=" ")), "text") == SAID
    with pytest.raises(ValueError, match="begins with 'see LJ1 for more'"):
        read(tmp_path, "see LJ1 for more\nor not\nor so\n")


@pytest.mark.parametrize("folders", ["", "wavs/", "wavs\\", "mine/wavs/"])
@pytest.mark.parametrize("ending", ["", ".wav", ".mp3"])
def test_a_recording_is_found_by_each_name_that_can_only_be_its(folders, ending, tmp_path):
    (tmp_path / "mine" / "wavs").mkdir(parents=True)
    content = f"file,text\n{folders}LJ1{ending},x\n"
    for folder, file in (("mine", "wavs/LJ1.wav"), ("mine/wavs", "LJ1.wav")):
        assert list(read(tmp_path / folder, content, files=(file,)).rows) == [file]


def test_folders_above_the_recordings_must_be_those_that_are_there(tmp_path):
    folder = tmp_path / "p226"
    folder.mkdir()
    content = "file,text\np225/001,wrong\np226/001,right\n"
    metadata = read(folder, content, files=("001.wav",))
    assert metadata.value("001.wav", "text") == "right"
    assert metadata.problems == ("line 2: file 'p225/001' is the name of no recording",)


def test_equal_names_in_several_folders_are_ambiguous(tmp_path):
    files = ("a/1.wav", "b/1.wav", "b/2.wav", "b/2.mp3")
    metadata = read(tmp_path, "file,text\n1,which\nb/1,this\n2,both\n", files=files)
    assert metadata.problems == (
        "line 2: file '1' is ambiguous: a/1.wav and b/1.wav; needed: its folder too",
    )
    texts = {file: row["text"] for file, row in metadata.rows.items()}
    assert texts == {"b/1.wav": "this", "b/2.wav": "both", "b/2.mp3": "both"}


def test_a_table_of_other_recordings_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"has 2 rows but none of these recordings, such as 'wavs"):
        read(tmp_path, "x|One\ny|Two\n")


def test_a_first_line_that_names_no_file_is_refused(tmp_path):
    for content in ("id,user\nLJ1,ann\n", "id\tuser\nx\tann\n"):
        with pytest.raises(ValueError, match=r"begins with 'id.*; needed: a first line"):
            read(tmp_path, content)
