"""Corpora: unpacked whole or not at all, with attribution; the table; the command `corpus`."""

import gzip
import io
import re
import tarfile
from pathlib import Path

import pytest
from tiny_corpus import COMPLETE, members, tar_bytes, tree, wav_bytes, zip_bytes

from ddpmlib.__main__ import main
from ddpmlib.audio import corpora
from ddpmlib.audio.corpora import ATTRIBUTION, CORPORA, fetch_corpus
from ddpmlib.audio.download import CorpusError


@pytest.mark.parametrize("pack", [tar_bytes, zip_bytes])
def test_full_download_extracts_what_is_wanted_and_deletes_the_archive(pack, tiny, tmp_path):
    tiny(pack(members()))
    folder = fetch_corpus("tiny", tmp_path / "new" / "corpora")
    assert folder == tmp_path / "new" / "corpora" / "tiny"
    assert tree(folder.parent) == {f"tiny/{name}" for name in COMPLETE}
    assert (folder / "wavs/b.wav").read_bytes() == wav_bytes(1)


def test_attribution_names_author_licence_source_and_changes(tiny, served, tmp_path):
    tiny(tar_bytes(members()))
    text = (fetch_corpus("tiny", tmp_path) / ATTRIBUTION).read_text()
    for needed in ("Nobody", "CC0-1.0", "publicdomain/zero", served.url, "hum.wav"):
        assert needed in text


@pytest.mark.parametrize("pack", [tar_bytes, zip_bytes])
@pytest.mark.parametrize("name", ["../evil.wav", "tiny-1.0/../../evil.wav", "/tmp/ddpm-evil.wav"])
def test_path_leading_out_of_the_archive_is_refused(pack, name, tiny, tmp_path):
    into = tmp_path / "corpora"
    tiny(pack(members() | {name: wav_bytes(5, 0.1)}))
    with pytest.raises(CorpusError, match=r"evil\.wav"):
        fetch_corpus("tiny", into)
    assert not (into / "tiny").exists()
    assert not list(tmp_path.rglob("*.wav"))
    assert not Path("/tmp/ddpm-evil.wav").exists()


def test_links_and_dangerous_modes_in_an_archive_are_not_taken_over(tiny, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, target in (("wavs", str(outside)), ("link.wav", "wavs/a.wav")):
            link = tarfile.TarInfo(f"tiny-1.0/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, target
            archive.addfile(link)
        member = tarfile.TarInfo("tiny-1.0/wavs/a.wav")
        member.mode = 0o6777
        archive.addfile(member, io.BytesIO())
    tiny(buffer.getvalue())
    folder = fetch_corpus("tiny", tmp_path / "corpora")
    assert not list(outside.iterdir())
    assert {path.name for path in folder.rglob("*")} == {ATTRIBUTION, "wavs", "a.wav"}
    assert (folder / "wavs/a.wav").stat().st_mode & 0o6022 == 0


def test_truncated_archive_leaves_no_corpus(tiny, tmp_path):
    body = tar_bytes(members())
    tiny(body[: len(body) // 2])  # its checksum is right: the publisher's file is broken
    with pytest.raises(CorpusError, match="tiny"):
        fetch_corpus("tiny", tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.name != ".downloads"]


def test_interrupted_unpacking_leaves_no_corpus_and_the_download_is_reused(
    tiny, served, tmp_path, monkeypatch
):
    tiny(tar_bytes(members()))
    real, calls = tarfile.TarFile.extract, []

    def extract(self, member, *args, **kwargs):
        calls.append(member.name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, member, *args, **kwargs)

    monkeypatch.setattr(tarfile.TarFile, "extract", extract)
    with pytest.raises(KeyboardInterrupt):
        fetch_corpus("tiny", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".downloads"]
    assert tree(fetch_corpus("tiny", tmp_path)) == COMPLETE
    assert len(served.ranges) == 1


def test_rest_of_a_killed_run_does_not_get_into_the_corpus(tiny, tmp_path):
    tiny(tar_bytes(members()))
    (tmp_path / ".tiny-unpacking" / "tiny-1.0").mkdir(parents=True)
    (tmp_path / ".tiny-unpacking" / "tiny-1.0" / "half.wav").write_bytes(b"RIFF")
    assert tree(fetch_corpus("tiny", tmp_path)) == COMPLETE


def test_foreign_folder_of_that_name_is_left_alone(tiny, served, tmp_path):
    tiny(tar_bytes(members()))
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "mine.wav").write_bytes(b"mine")
    with pytest.raises(CorpusError, match="move it away"):
        fetch_corpus("tiny", tmp_path)
    assert tree(tmp_path) == {"tiny/mine.wav"}
    assert not served.ranges


def test_archive_without_the_recordings_is_an_error(tiny, tmp_path):
    tiny(tar_bytes(members()), subfolder="tiny-2.0")
    with pytest.raises(CorpusError, match=r"has no \*\.wav inside .tiny-2"):
        fetch_corpus("tiny", tmp_path)
    assert not (tmp_path / "tiny").exists()


def test_unknown_name_lists_the_known_ones(tmp_path):
    with pytest.raises(CorpusError) as caught:
        fetch_corpus("ljspeach", tmp_path)
    assert "ljspeach" in str(caught.value)
    assert all(name in str(caught.value) for name in CORPORA)


def test_folder_that_cannot_be_written_is_named(tiny, tmp_path):
    tiny(tar_bytes(members()))
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CorpusError, match="writable") as caught:
        fetch_corpus("tiny", tmp_path / "file")
    assert str(tmp_path / "file") in str(caught.value)


@pytest.fixture
def installed(tiny, tmp_path):
    """`tiny` as if installed by a Debian package, with its text list; downloading it would fail."""
    package = tmp_path / "usr" / "share"
    for name, content in members().items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (package / "texts.txt.gz").write_bytes(gzip.compress(b"a: hello"))
    tiny(
        b"", sha256="0" * 64, debian_folder=str(package / "tiny-1.0"), subfolder="",
        debian_text=str(package / "texts.txt.gz"),
    )  # fmt: skip
    return package / "tiny-1.0"


def test_installed_debian_package_is_copied_not_downloaded(installed, served, tmp_path):
    before = tree(installed)
    folder = fetch_corpus("tiny", tmp_path / "corpora")
    assert tree(folder) == COMPLETE - {"metadata.csv"} | {"texts.txt"}
    assert (folder / "texts.txt").read_text() == "a: hello"
    assert str(installed) in (folder / ATTRIBUTION).read_text()
    assert not served.ranges
    assert tree(installed) == before


def test_a_corpus_goes_into_a_bucket(installed, bucket, tmp_path, monkeypatch):
    monkeypatch.setattr(corpora, "data_folder", lambda: tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    for into in ("gs://corpora/speech", "gs://corpora/speech/"):
        assert fetch_corpus("tiny", into) == tmp_path / "data" / "corpora" / "tiny"
    assert {name.removeprefix("speech/tiny/") for name in bucket.names()} == tree(
        tmp_path / "data" / "corpora" / "tiny"
    )
    assert not (tmp_path / "gs:").exists()
    with pytest.raises(CorpusError, match=r"gs://nowhere/tiny/.*; the corpus is in .*/tiny"):
        fetch_corpus("tiny", "gs://nowhere")


def test_interrupted_copy_leaves_no_corpus(installed, tmp_path, monkeypatch):
    def copyfile(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(corpora.shutil, "copyfile", copyfile)
    with pytest.raises(KeyboardInterrupt):
        fetch_corpus("tiny", tmp_path / "corpora")
    assert not (tmp_path / "corpora").exists()


def test_package_with_another_format_only_means_downloading(tiny, served, tmp_path):
    (tmp_path / "sounds").mkdir()
    (tmp_path / "sounds" / "hello.gsm").write_bytes(b"gsm")
    tiny(tar_bytes(members()), debian_folder=str(tmp_path / "sounds"))
    folder = fetch_corpus("tiny", tmp_path / "corpora")
    assert tree(folder) == COMPLETE
    assert len(served.ranges) == 1


def test_the_command_prints_one_line(tiny, tmp_path, capsys):
    tiny(tar_bytes(members()))
    main(["corpus", "tiny", "--into", str(tmp_path)])
    (line,) = capsys.readouterr().out.splitlines()
    for needed in (str(tmp_path / "tiny"), "3 audio files", "CC0-1.0", ATTRIBUTION):
        assert needed in line


def test_the_command_turns_failure_into_one_sentence(tiny, served, tmp_path, capsys):
    tiny(tar_bytes(members()))
    served.status = 404
    with pytest.raises(SystemExit, match="404") as caught:  # a text: Python exits with 1
        main(["corpus", "tiny", "--into", str(tmp_path)])
    assert "\n" not in caught.value.code
    with pytest.raises(SystemExit) as caught:
        main(["corpus", "nope"])
    assert caught.value.code == 2
    assert "asterisk-en" in capsys.readouterr().err


@pytest.mark.parametrize("corpus", CORPORA.values(), ids=list(CORPORA))
def test_table_entry_is_well_formed(corpus):
    assert CORPORA[corpus.name] is corpus
    assert re.fullmatch("[a-z][a-z-]+", corpus.name)
    assert corpus.url.startswith("https://")
    assert corpus.licence_url.startswith("https://")
    assert re.fullmatch("[0-9a-f]{64}|md5:[0-9a-f]{32}", corpus.sha256)
    for needed in (corpus.licence, corpus.licence_url, corpus.authors, corpus.url, "Changes"):
        assert needed
        assert needed in corpus.attribution
    example = corpus.audio.replace("*", "deep/er")
    assert corpus.wants(example)
    assert not corpus.wants("LICENSE")
    assert not corpus.wants("a.py")


def test_table_entries_do_not_share_checksums():
    assert len({corpus.sha256 for corpus in CORPORA.values()}) == len(CORPORA)


def test_asterisk_leaves_out_tones_and_no_speech():
    wants = CORPORA["asterisk-en"].wants
    assert wants("confbridge-leave-in.g722")
    assert wants("confbridge-lock-in.g722")
    assert wants("digits/5.g722")
    assert wants("core-sounds-en.txt")
    for name in ("silence/5", "beep", "beeperr", "confbridge-join", "tt-monkeys"):
        assert not wants(f"{name}.g722")


@pytest.mark.skipif(
    not any(Path(CORPORA["asterisk-en"].debian_folder).rglob("*.g722")),
    reason="Debian package asterisk-core-sounds-en-g722 is not installed",
)
def test_asterisk_english_from_the_installed_package(tmp_path, capsys):
    main(["corpus", "asterisk-en", "--into", str(tmp_path)])
    folder = tmp_path / "asterisk-en"
    sizes = [path.stat().st_size for path in folder.rglob("*.g722")]
    assert len(sizes) > 500
    assert f"{len(sizes)} audio files" in capsys.readouterr().out
    assert sum(sizes) / 8000 / 60 > 20  # minutes; G.722 has 8000 bytes a second
    assert "Allison Smith" in (folder / ATTRIBUTION).read_text()
