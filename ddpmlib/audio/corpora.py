"""Public corpora of speech by name: fetched, checked, attributed (`ddpm-speech corpus NAME`)."""

import gzip
import os
import shutil
import tarfile
import zipfile
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

from ddpmlib.audio.download import CorpusError, download, unpack
from ddpmlib.storage import google_cloud
from ddpmlib.storage.atomic import no_empty_folders
from ddpmlib.storage.paths import data_folder, publish

ATTRIBUTION = "ATTRIBUTION.txt"  # written last: a corpus folder that has it is complete


@dataclass(frozen=True)
class Corpus:
    """One table entry; patterns match paths inside `subfolder`, their `*` crosses slashes."""

    name: str
    description: str
    url: str
    sha256: str  # hexadecimal SHA-256, or "md5:..." where the publisher states only that
    authors: str
    licence: str
    licence_url: str
    audio: str = "*.wav"
    texts: str = ""  # transcripts
    left_out: str = ""  # patterns, separated by spaces, of what is not speech
    subfolder: str = ""  # folder inside the archive that becomes the corpus folder
    debian_folder: str = ""  # where the Debian package of the same recordings puts them
    debian_text: str = ""  # that package's gzipped transcripts

    @property
    def attribution(self) -> str:
        """Authors, licence with its URL, source, changes: what must travel with the recordings."""
        return f"""{self.description}
Authors: {self.authors}
Licence: {self.licence}, {self.licence_url}
Source: {self.url}
Changes: recordings are unchanged copies; left out: {self.left_out or "none"}
"""

    def wants(self, path: str) -> bool:
        """Whether `path`, relative to `subfolder`, is a recording or text list of the corpus."""
        found = fnmatchcase(path, self.audio) or fnmatchcase(path, self.texts)
        return found and not any(fnmatchcase(path, pattern) for pattern in self.left_out.split())


# fmt: off
def _asterisk(code: str, language: str, voice: str, licence: str, authors: str, sha256: str):
    return Corpus(
        f"asterisk-{code}",
        f"Asterisk core sounds 1.6.1: telephone prompts, {language}, G.722 at 16 kHz.",
        "https://downloads.asterisk.org/pub/telephony/sounds/releases/"
        f"asterisk-core-sounds-{code}-g722-1.6.1.tar.gz",
        sha256, authors, f"CC-{licence.upper()}-3.0",
        f"https://creativecommons.org/licenses/{licence}/3.0/",
        audio="*.g722", texts=f"core-sounds-{code}.txt",
        # silences, signal tones, and screaming monkeys
        left_out="silence/* beep* *-2tone.* confbridge-join.* confbridge-leave.* tt-monkeys.*",
        debian_folder=f"/usr/share/asterisk/sounds/{voice}",
        debian_text=f"/usr/share/doc/asterisk-core-sounds-{code}/core-sounds-{code}.txt.gz",
    )


ALLISON = "Allison Smith (http://www.theivrvoice.com), financed by Digium, Inc."
_TABLE = (
    # SHA-256 of asterisk-core-sounds_1.6.1.orig-*-g722.tar.gz in Debian's signed source index; a
    # package feed for OpenWrt has the same for upstream. Authors, licences: Debian's copyright.
    _asterisk("en", "US English", "en_US_f_Allison", "by-sa", ALLISON,
              "59891033e764d9dffc5ccdd78e845a1c8ea6bed0b434128bb0199c63ef591770"),
    _asterisk("es", "Spanish", "es_MX_f_Allison", "by-sa", ALLISON,
              "3c474f73cc4f65478b3cf05ab0c5da19c8ce408699f61491f6aafba450cb540a"),
    _asterisk("fr", "Canadian French", "fr_CA_f_June", "by-sa",
              "June Wallack (http://www.junewallack.com), Clod Patry, Kristopher Lalletti "
              "(translation), financed by Digium, Inc., Unlimitel and BGM Informatique",
              "7ff3ca96bbb295a6458e6eb1ff92690d9a5d0db0b4ddfa2c488237e4d251efbe"),
    _asterisk("it", "Italian", "it_IT_m_Carlo", "by", "Carlo Flora (http://www.carloflora.com), "
              "Silvia Petrin (translation), http://www.segreterietelefoniche.it",
              "44a7fd7b067ff7f71df7fec31f9a8c960e13d35ca30c31878913c4020bfc00b6"),
    _asterisk("ru", "Russian", "ru_RU_f_IvrvoiceRU", "by", "Maxim Topal (http://www.ivrvoice.ru)",
              "fde2a071b811a081219138693d6813d122d91c2c3423936274b110b97645b61b"),
    Corpus("ljspeech", "LJ Speech 1.1: 24 hours of English, one voice, 13,100 clips at 22.05 kHz.",
           "https://data.keithito.com/data/speech/LJSpeech-1.1.tar.bz2",  # 2.7 GB
           # checksum as in torchaudio's LJSPEECH
           "be1a30453f28eb8dd26af4101ae40cbf2c50413b1bb21936cbcdc6fae3de8aa5",
           "Keith Ito (publisher), Linda Johnson (voice, for LibriVox)",
           "public domain", "https://keithito.com/LJ-Speech-Dataset/",
           texts="metadata.csv", subfolder="LJSpeech-1.1"),
    Corpus("thorsten-de", "Thorsten-Voice 2022.10: 11 hours of German, one voice, at 22.05 kHz.",
           "https://zenodo.org/records/7265581/files/ThorstenVoice-Dataset_2022.10.zip",  # 1.4 GB
           "md5:c2c2cb0d8a2b3b240e140d9213cd39b8",  # Zenodo has MD5 only; as in ESPnet's recipe
           "Thorsten Müller and Dominik Kreutz, https://doi.org/10.5281/zenodo.7265581",
           # CC0 by the author's word; the record itself states CC-BY-4.0
           "CC0-1.0 (or CC-BY-4.0, which this attribution satisfies too)",
           "https://creativecommons.org/publicdomain/zero/1.0/",
           texts="metadata*.csv", subfolder="ThorstenVoice-Dataset_2022.10"),
)
# fmt: on
CORPORA: dict[str, Corpus] = {corpus.name: corpus for corpus in _TABLE}


def _copy_installed(corpus: Corpus, stage: Path) -> str:
    """Copy from the Debian package and name it; "" where it (or this format) is not installed."""
    source = Path(corpus.debian_folder)
    found = list(source.rglob(corpus.audio)) if corpus.debian_folder else []
    for path in found:
        inner = path.relative_to(source)
        if corpus.wants(inner.as_posix()):
            (stage / inner).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, stage / inner)
    text = Path(corpus.debian_text)
    if found and text.is_file():
        (stage / text.stem).write_bytes(gzip.decompress(text.read_bytes()))
    return f"Debian package, {source}" if found else ""


def _retrieve(corpus: Corpus, cache: Path, stage: Path) -> str:
    import pooch

    file = corpus.url.rpartition("/")[2]
    downloader = partial(download, part=cache / f"{file}.part")
    processor = partial(unpack, corpus=corpus, stage=stage)
    try:
        pooch.retrieve(corpus.url, corpus.sha256, file, cache, processor, downloader)
    except (ValueError, tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        # ValueError is pooch's: it names the checksum needed and the one found, file deleted
        raise CorpusError(f"{corpus.name} from {corpus.url} is not usable: {error}") from error
    return corpus.url


def fetch_corpus(name: str, into: str | Path) -> Path:
    """Return the folder `into/name`, filled with the corpus unless it already is.

    Files gather in a sibling folder that is renamed when complete; an interrupted download stays
    in `into/.downloads` and is resumed by the next call. For a gs:// folder, all of that happens in
    `data/corpora/`, which is returned, and the result is published.

    Raises CorpusError: unknown name, unwritable folder, failed download, wrong checksum, broken or
    unsafe archive.
    """
    if name not in CORPORA:
        raise CorpusError(f"unknown corpus {name!r}: needed is one of {', '.join(CORPORA)}")
    if google_cloud.is_bucket(into):
        folder = fetch_corpus(name, data_folder() / "corpora")
        try:
            publish(folder, f"{google_cloud.canonical(into)}/{name}")
        except (OSError, ValueError) as error:
            raise CorpusError(f"{error}; the corpus is in {folder}") from None
        return folder
    corpus, into = CORPORA[name], Path(into)
    folder, stage = into / name, into / f".{name}-unpacking"
    with no_empty_folders(into / ".downloads"):
        try:
            if (folder / ATTRIBUTION).exists():
                return folder
            if folder.exists() and any(folder.iterdir()):
                raise CorpusError(f"{folder} holds files but no {ATTRIBUTION}: move it away first")
            shutil.rmtree(stage, ignore_errors=True)  # of a run that was killed
            stage.mkdir(parents=True)
            origin = _copy_installed(corpus, stage) or _retrieve(corpus, into / ".downloads", stage)
            ready = stage / corpus.subfolder
            if not any(ready.rglob(corpus.audio)):
                raise CorpusError(f"{origin} has no {corpus.audio} inside {corpus.subfolder!r}")
            (ready / ATTRIBUTION).write_text(
                f"{corpus.attribution}Fetched from: {origin}\n", "utf-8"
            )
            os.replace(ready, folder)
        except OSError as error:
            raise CorpusError(f"{name} needs a writable folder, not {into}: {error}") from error
        finally:
            shutil.rmtree(stage, ignore_errors=True)
    return folder
