"""Metadata of recordings: read in every manner, wrong rows named by line."""

import pytest
from corpora import TREES, Tree

from ddpmlib.audio.metadata import FOLDERS, NAMES, TEXTS, RecordingMetadata, read_metadata
from ddpmlib.audio.recording import find_audio
from ddpmlib.storage.paths import fetch

FILES = ("a.wav", "b.ogg", "deep/c.wav", "deep/d.wav", "other/d.flac")
SAID = {"a.wav": "One.", "b.ogg": "Two, three!", "deep/c.wav": "Vier"}


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
    assert texts(metadata) == SAID
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


@pytest.fixture(scope="module")
def trees(tmp_path_factory) -> dict[str, Tree]:
    folder = tmp_path_factory.mktemp("trees")
    return {name: make(folder / name) for name, make in TREES.items()}


def of_tree(tree: Tree, source: str, below: str = "") -> tuple[RecordingMetadata, dict, dict]:
    """Metadata of a folder of a tree; its true texts and speakers."""
    root = tree.folder / below
    files = [path.relative_to(root).as_posix() for path in find_audio(root)]
    inner = {file: f"{below}/{file}".lstrip("/") for file in files}
    truths = [{f: known[inner[f]] for f in files} for known in (tree.texts, tree.speakers)]
    return read_metadata(source, root, files), *truths


def column(metadata: RecordingMetadata, name: str) -> dict:
    return {file: row[name] for file, row in metadata.rows.items()}


@pytest.mark.parametrize(
    ("name", "source", "below"),
    [
        ("vctk", TEXTS, ""),
        ("vctk", TEXTS, "wav48_silence_trimmed"),
        ("librispeech", TEXTS, ""),
        ("librispeech", TEXTS, "dev-clean/84/121123"),
        ("timit", TEXTS, ""),
        ("timit", TEXTS, "TRAIN/DR1/FCJF0"),
        ("common_voice", "validated.tsv", ""),
        ("common_voice", "validated.tsv", "clips"),
        ("common_voice", "../validated.tsv", "clips"),
    ],
)
def test_published_texts_are_all_read(name, source, below, trees):
    metadata, said, _ = of_tree(trees[name], source, below)
    assert column(metadata, "text") == said
    assert metadata.problems == ()


@pytest.mark.parametrize(
    ("name", "source", "below"),
    [
        ("vctk", "folders", ""),
        ("vctk", "folders", "wav48_silence_trimmed"),
        ("vctk", "texts+folders", ""),
        ("librispeech", "folders:2", ""),
        ("librispeech", "texts+folders:1", "dev-clean"),
        ("timit", "texts+folders:3", ""),
        ("common_voice", "validated.tsv", ""),
    ],
)
def test_published_speakers_are_all_read(name, source, below, trees):
    metadata, said, speakers = of_tree(trees[name], source, below)
    assert column(metadata, "speaker") == speakers
    if "texts" in source:
        assert column(metadata, "text") == said
        assert metadata.columns == ("text", "speaker")


@pytest.mark.parametrize(
    ("name", "below", "found"),
    [
        ("librispeech", "", r"1: dev-clean \(1\); 2: 174, 251, 84 \(3\); 3: 118436, 121123, 121550 "
         r"\(4\); needed: the level of the speakers, folders:2 or folders:3"),
        ("timit", "", r"1: TEST, TRAIN \(2\); 2: DR1, DR2 \(2\); 3: FAEM0, FAKS0, FCJF0 \(4\)"),
        ("common_voice", "", r"1: clips \(1\); needed: the level of the speakers, folders:1"),
        ("common_voice", "clips", "no recording lies in a folder; needed: one for each speaker"),
    ],
)  # fmt: skip
def test_levels_of_folders_are_named_where_several_may_be_speakers(name, below, found, trees):
    with pytest.raises(ValueError, match=found):
        of_tree(trees[name], "folders", below)


def test_a_level_that_is_not_there_is_named(trees):
    with pytest.raises(ValueError, match=r"'folders:4', and the .* folders:1 or folders:2"):
        of_tree(trees["timit"], "folders:4")
    with pytest.raises(ValueError, match="'folders:0'"):
        of_tree(trees["vctk"], "folders:0")


def test_a_single_folder_can_be_the_speaker_of_its_recordings():
    files = ("a.wav", "deep/c.wav")
    assert read_metadata(FOLDERS, "", files).rows == {"deep/c.wav": {"speaker": "deep"}}
    assert len(read_metadata("folders:1", "", files[1:]).rows) == 1
    nested = ("low/0.wav", "high/monday/0.wav")
    assert column(read_metadata(FOLDERS, "", nested), "speaker") == {
        "low/0.wav": "low",
        "high/monday/0.wav": "high",
    }


def test_folders_add_speakers_to_a_table_without_them(tmp_path):
    content = "file,text\ndeep/c,Vier\ndeep/d,Five\nother/d,Six\n"
    metadata = read(tmp_path, content, "my+folders.csv")
    assert metadata.columns == ("text",)
    metadata = read_metadata("my+folders.csv+folders", tmp_path, FILES)
    assert metadata.rows["deep/c.wav"] == {"text": "Vier", "speaker": "deep"}
    assert metadata.value("a.wav", "speaker") is None
    read(tmp_path, "file,speaker\na,ann\n")
    with pytest.raises(ValueError, match=r"metadata\.csv has a column speaker; needed: without"):
        read_metadata("metadata.csv+folders", tmp_path, FILES)


def put(folder, **texts: str) -> None:
    for name, text in texts.items():
        path = folder / f"{name.replace('_', '/')}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_texts_lie_beside_or_in_a_tree_of_their_own(tmp_path):
    put(tmp_path, a="One.", txt_b="Two", anna_TEXT_c="Three", txt_bob_d="Four", bob_e="Five")
    files = ("a.wav", "b.mp3", "anna/c.wav", "wav/bob/d.wav", "wav/bob/e.wav", "x.wav")
    metadata = read_metadata(TEXTS, tmp_path, files)
    said = ["One.", "Two", "Three", "Four"]
    assert column(metadata, "text") == dict(zip(files, said, strict=False))


def test_a_text_that_could_be_of_two_recordings_is_said_to_be_ambiguous(tmp_path):
    put(tmp_path, txt_001="Whose?", anna_001="Mine", txt_002="Both")
    files = ("anna/001.wav", "bob/001.wav", "carl/001.wav", "x/002.wav", "x/002.mp3")
    metadata = read_metadata(TEXTS, tmp_path, files)
    both = dict.fromkeys(("x/002.wav", "x/002.mp3"), "Both")
    assert column(metadata, "text") == {"anna/001.wav": "Mine"} | both
    [problem] = metadata.problems
    assert problem.endswith("txt/001.txt is ambiguous: of bob/001.wav and of carl/001.wav")


def test_texts_are_found_in_folders_behind_links(tmp_path):
    put(tmp_path / "disk" / "anna", a="One.")
    (tmp_path / "voices").mkdir()
    (tmp_path / "voices" / "anna").symlink_to(tmp_path / "disk" / "anna")
    metadata = read_metadata(TEXTS, tmp_path / "voices", ("anna/a.wav",))
    assert column(metadata, "text") == {"anna/a.wav": "One."}


def test_times_before_a_text_are_not_its_words(tmp_path):
    put(tmp_path, a="0 61748 She wore 2 hats.\n", b="0.000000\t1.5\tHello\n1.5\t2.25\tyou\n")
    put(tmp_path, c="0 5 rabbits", d="10 20 fingers")
    metadata = read_metadata(TEXTS, tmp_path, [f"{name}.wav" for name in "abcd"])
    said = ["She wore 2 hats.", "Hello you", "0 5 rabbits", "10 20 fingers"]
    assert list(column(metadata, "text").values()) == said


def test_a_text_that_cannot_be_read_is_named_and_the_others_read(tmp_path):
    put(tmp_path, a="One.")
    (tmp_path / "b.txt").write_bytes("Zwölf".encode("latin-1"))
    (tmp_path / "c.normalized.txt").write_bytes("Drei".encode("utf-16"))
    metadata = read_metadata(TEXTS, tmp_path, ("a.wav", "b.wav", "c.wav"))
    assert column(metadata, "text") == {"a.wav": "One.", "c.wav": "Drei"}
    assert metadata.problems[0].startswith(f"{tmp_path / 'b.txt'} is not UTF-8 (byte 2)")


def test_a_folder_without_texts_says_where_they_may_lie(trees):
    with pytest.raises(ValueError, match=r"no text lies beside .*NAME\.txt beside NAME\.wav .*txt"):
        of_tree(trees["common_voice"], TEXTS)


def test_columns_of_which_each_value_is_of_one_recording_are_no_labels(trees):
    metadata, *_ = of_tree(trees["common_voice"], "validated.tsv")
    assert {"sentence_id", "up_votes"} < set(metadata.columns)
    kept = metadata.without_identifiers()
    assert kept.columns == (
        "speaker", "text", "sentence_domain", "age", "gender", "accents", "variant", "locale",
        "segment",
    )  # fmt: skip
    said = (
        "sentence_id: most of its 12 values belong to one recording only; no condition, and ignored"
    )
    assert kept.notes[0].startswith(said)
    assert len(kept.notes) == 3
    assert metadata.labels("clips/common_voice_en_1000.mp3")[0] == "0" * 128


def test_many_decimal_numbers_are_measured_and_few_are_settings():
    rows = {f"{i}.wav": {"seconds": f"{i % 40 / 10:.1f}", "speed": ["0.9", "1.0"][i % 2]}
            for i in range(100)}  # fmt: skip
    metadata = RecordingMetadata(("seconds", "speed", "mood"), rows).without_identifiers()
    assert metadata.columns == ("speed", "mood")
    assert metadata.notes == (
        "seconds: its values are measurements; no condition, and ignored by join",
    )


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
