"""English words -> phones: an own list, the CMU dictionary, simple rules, a network, letters."""

import functools
import re
import unicodedata
from pathlib import Path

from ddpmlib.storage.paths import fetch

Pronunciation = tuple[str, ...]  # phones

SILENCE = "SIL"
_PHONES = (
    "AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW V W "
    "Y Z ZH"
)
PHONES = tuple(_PHONES.split())  # of ARPAbet, without stress
HISSING = {"S", "Z", "SH", "ZH", "CH", "JH"}  # after these an s is a syllable of its own
UNVOICED = {"P", "T", "K", "F", "TH"}
LIGATURES = str.maketrans(
    {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"}
)
LONGEST = 34  # letters; the network loses its way in longer words
# The network writes IPA, and now and then takes a word for a foreign one, whose sounds become the
# nearest English ones. A symbol is as long as possible; marks are left out.
_IPA = (
    "aɪ=AY|aʊ=AW|eɪ=EY|oʊ=OW|əʊ=OW|ɔɪ=OY|tʃ=CH|dʒ=JH|tɕ=CH|dʑ=JH|ɝ=ER|ɚ=ER|ɜ=ER|ɜɹ=ER|əɹ=ER|ɑ=AA|"
    "ɒ=AA|a=AA|æ=AE|ʌ=AH|ə=AH|ɐ=AH|ɔ=AO|ɛ=EH|e=EH|ɪ=IH|i=IY|ɨ=IH|y=UW|ʊ=UH|u=UW|o=OW|ø=ER|œ=ER|b=B|"
    "d=D|ð=DH|f=F|ɸ=F|ɡ=G|g=G|ɣ=G|h=HH|ɦ=HH|ç=HH|j=Y|ʝ=Y|k=K|x=K|χ=K|q=K|c=K|l=L|ɫ=L|ʎ=L Y|m=M|n=N|"
    "ŋ=NG|ɲ=N Y|p=P|ɹ=R|r=R|ʁ=R|ʀ=R|ɾ=T|s=S|ʃ=SH|ɕ=SH|ʂ=SH|t=T|θ=TH|v=V|β=V|w=W|ɥ=W|z=Z|ʒ=ZH|ʑ=ZH|"
    "ʐ=ZH|ʔ=T|ɻ=R|ɱ=M|ᵻ=IH"
)
IPA = dict(pair.split("=") for pair in _IPA.split("|"))
_SOUND = re.compile("|".join(sorted(IPA, key=len, reverse=True)) + "|.")


class Lexicon:
    """Pronunciations of English words.

    Args:
        own: a file of pronunciations that go before all others, `word<TAB>PHONES` in UTF-8; a word
            on several lines has several, the most usual first. A path, or `gs://`.
        spell: letter by letter, a word that nothing else pronounces.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a line of it that is wrong, by its number.
    """

    def __init__(self, own: str | Path = "", spell: bool = False):
        self.own, self.spell = _read(fetch(own)) if own else {}, spell

    def pronounce(self, word: str) -> list[Pronunciation]:
        """All pronunciations of a word, the most usual first, in phones out of `PHONES`.

        Raises:
            ValueError: nothing pronounces the word; in another alphabet only the own file does.
        """
        word = unicodedata.normalize("NFC", word).lower()
        if found := self._known(word):
            return found
        plain = ascii_spelling(word)
        if found := self._known(plain) or self._derived(plain):
            return found
        letters = plain.replace("'", "")
        if found := predict(letters):
            return [found]
        english = bool(re.fullmatch("[a-z]+", letters))
        if self.spell and english:
            names = [dictionary()[f"{letter}."][0] for letter in letters]
            return [tuple(phone for name in names for phone in name)]
        needed = "an own pronunciation, word<TAB>PHONES" + ", or spelling" * english
        raise ValueError(f"cannot pronounce {word!r:.60}; needed: {needed}")

    def _known(self, word: str) -> list[Pronunciation]:
        return self.own.get(word) or dictionary().get(word) or []

    def _derived(self, word: str) -> list[Pronunciation]:
        """Of a possessive or a compound with hyphens, from those of its parts."""
        owner, mark, ending = word.rpartition("'")
        parts = [part for part in word.split("-") if part]
        try:
            if owner and mark and ending in ("", "s"):
                return [
                    _possessive(phones) if ending else phones for phones in self.pronounce(owner)
                ]
            if len(parts) > 1:
                return [tuple(phone for part in parts for phone in self.pronounce(part)[0])]
        except ValueError:  # of a part; the message is to name the whole word
            pass
        return []


def ascii_spelling(word: str) -> str:
    """Latin letters without accents and ligatures; other characters stay."""
    apart = unicodedata.normalize("NFD", word.translate(LIGATURES))
    return unicodedata.normalize("NFC", re.sub("(?<=[a-z])[\u0300-\u036f]+", "", apart))


@functools.cache
def dictionary() -> dict[str, list[Pronunciation]]:
    """The CMU Pronouncing Dictionary, in the edition of pocketsphinx: 126,052 words."""
    import pocketsphinx

    path = Path(pocketsphinx.get_model_path("en-us/cmudict-en-us.dict"))
    entries: dict[str, list[Pronunciation]] = {}
    for line in path.read_text("utf-8").splitlines():
        word, *phones = line.split()
        entries.setdefault(word.split("(")[0], []).append(tuple(phones))
    return entries


@functools.lru_cache(100_000)
def predict(word: str) -> Pronunciation:
    """What the network makes of a word in plain letters; empty where it makes nothing sensible."""
    if not re.fullmatch(f"[a-z]{{2,{LONGEST}}}", word) or not re.search("[aeiouy]", word):
        return ()  # for letters that are no word it invents something
    return arpabet(_network().predict(word).ipa)


def arpabet(ipa: str) -> Pronunciation:
    """Phones of what is written in IPA, without stress; empty for a sound not of this table."""
    apart = unicodedata.normalize("NFD", ipa)
    sounds = _SOUND.findall("".join(c for c in apart if unicodedata.category(c) in ("Ll", "Lo")))
    if not set(sounds) <= set(IPA):
        return ()
    return tuple(phone for sound in sounds for phone in IPA[sound].split())


@functools.cache
def _network():
    from hama import G2PModel

    return G2PModel(max_output_len=128)


def _possessive(phones: Pronunciation) -> Pronunciation:
    if phones[-1] in HISSING:
        return (*phones, "IH", "Z")
    return (*phones, "S" if phones[-1] in UNVOICED else "Z")


def _read(path: Path) -> dict[str, list[Pronunciation]]:
    """An own file of pronunciations."""
    if path.is_dir():
        raise ValueError(f"pronunciations are {path}, a folder; needed: lines word<TAB>PHONES")
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 (byte {error.start}); needed: UTF-8") from None
    entries: dict[str, list[Pronunciation]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        word, tab, said = line.partition("\t")
        word, phones = unicodedata.normalize("NFC", word.strip()).lower(), tuple(said.split())
        if not (word and tab and phones):
            raise ValueError(f"{path}, line {number}: {line!r:.60}; needed: word<TAB>PHONES")
        if unknown := [phone for phone in phones if phone not in PHONES]:
            needed = " ".join(PHONES)
            raise ValueError(f"{path}, line {number}: phone {unknown[0]!r}; needed: {needed}")
        entries.setdefault(word, []).append(phones)
    return entries
