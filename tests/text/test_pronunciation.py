"""Words as phones: the own file, the dictionary, rules, the network, letters, and refusals."""

import pytest

from ddpmlib.text import pronunciation
from ddpmlib.text.pronunciation import (
    PHONES,
    SILENCE,
    Lexicon,
    arpabet,
    ascii_spelling,
    dictionary,
    predict,
)


def said(lexicon: Lexicon, word: str) -> list[str]:
    return [" ".join(phones) for phones in lexicon.pronounce(word)]


@pytest.fixture
def own(tmp_path):
    def write(content: str | bytes, **options) -> Lexicon:
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / "own.tsv").write_bytes(data)
        return Lexicon(tmp_path / "own.tsv", **options)

    return write


def test_the_dictionary_has_39_phones_and_its_alternatives_in_order():
    assert len(PHONES) == 39
    assert SILENCE not in PHONES
    assert {phone for found in dictionary().values() for p in found for phone in p} == set(PHONES)
    assert len(dictionary()) == 126_052
    assert said(Lexicon(), "hello") == ["HH AH L OW", "HH EH L OW"]
    assert said(Lexicon(), "Read") == ["R EH D", "R IY D"]


@pytest.mark.parametrize(
    ("word", "phones"),
    [
        ("don't", "D OW N T"),
        ("o'clock", "AH K L AA K"),
        ("naïve", "N AY IY V"),
        ("Dvořák", "D V AO R AH K"),
        ("dvor\u030ca\u0301k", "D V AO R AH K"),
        # possessives
        ("abbot's", "AE B AH T S"),
        ("dickens's", "D IH K AH N Z IH Z"),
        ("zebra's", "Z IY B R AH Z"),
        ("u's", "Y UW Z"),
        ("singers'", "S IH NG ER Z"),
        # compounds
        ("forty-two", "F AO R T IY T UW"),
        ("well-known", "W EH L N OW N"),
        ("-zebra-", None),
        # what the dictionary lacks
        ("spectrogram", "S P EH K T R OW G R AE M"),
        ("spectrogram's", "S P EH K T R OW G R AE M Z"),
        ("huggingface", "HH AH G IH NG F EY S"),
    ],
)
def test_words_are_pronounced_as(word, phones):
    lexicon = Lexicon()
    if phones is None:
        with pytest.raises(ValueError, match=f"cannot pronounce {word!r}"):
            lexicon.pronounce(word)
    else:
        assert said(lexicon, word)[0] == phones


def test_the_network_is_loaded_for_unknown_words_only(monkeypatch):
    monkeypatch.setattr(pronunciation, "_network", lambda: 1 / 0)
    predict.cache_clear()
    assert all(map(Lexicon().pronounce, ("mother's", "mother-tongue", "o'clock", "naïve")))
    with pytest.raises(ZeroDivisionError):
        Lexicon().pronounce("blorbifex")


@pytest.mark.parametrize(
    "word", ["blorbifex", "strandowel", "kubernetes", "quixotical", "jörmungandr", "strand'owel"]
)
def test_the_network_gives_phones_of_the_set(word):
    [phones] = Lexicon().pronounce(word)
    assert set(phones) <= set(PHONES)
    assert 4 <= len(phones) <= len(word) + 2
    assert Lexicon().pronounce(word) == [phones]


@pytest.mark.parametrize("word", ["χ", "привет", "你好", "नमस्ते", "αβγ", "aбв", "", "-", "'", "b2b"])
def test_words_of_other_alphabets_are_refused_even_with_spelling(word):
    for spell in (False, True):
        with pytest.raises(ValueError, match="cannot pronounce") as error:
            Lexicon(spell=spell).pronounce(word)
        assert repr(word) in str(error.value)
        assert str(error.value).endswith("needed: an own pronunciation, word<TAB>PHONES")


def test_letters_without_a_vowel_are_spelled_if_that_is_wanted():
    with pytest.raises(ValueError, match=r"cannot pronounce 'tts'; needed: .*, or spelling$"):
        Lexicon().pronounce("tts")
    assert said(Lexicon(spell=True), "tts") == ["T IY T IY EH S"]
    assert said(Lexicon(spell=True), "tts's") == ["T IY T IY EH S IH Z"]
    assert said(Lexicon(spell=True), "ibm") == ["AY B IY EH M"]
    long = "a" * 40  # the network loses its way
    assert said(Lexicon(spell=True), long) == [" ".join(["EY"] * 40)]
    assert said(Lexicon(spell=True), "zebra") == ["Z IY B R AH"]


def test_an_own_pronunciation_goes_first(own):
    lexicon = own("\ufeffhello\tHH AH\r\nχ\tK AY\nχ\tCH IY\n\nNaïve\tN AH\nfoo-bar\tF B\n")
    assert said(lexicon, "hello") == ["HH AH"]
    assert said(lexicon, "Χ") == ["K AY", "CH IY"]
    assert said(lexicon, "nai\u0308ve") == ["N AH"]
    assert said(lexicon, "naive") == ["N AY IY V"]
    assert said(lexicon, "foo-bar") == ["F B"]
    assert said(lexicon, "hello's") == ["HH AH Z"]
    assert said(lexicon, "hello-χ") == ["HH AH K AY"]
    assert said(lexicon, "world")[0] == "W ER L D"
    assert said(Lexicon(), "hello")[0] == "HH AH L OW"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a\tAH\nhello HH AH\n", r"own\.tsv, line 2: 'hello HH AH'; needed: word<TAB>PHONES"),
        ("\tHH\n", r"line 1: '\\tHH'; needed: word<TAB>PHONES"),
        ("hi\t\n", r"line 1: 'hi\\t'; needed: word<TAB>PHONES"),
        ("a\tAH\n\nhi\tHH AY1\n", r"line 3: phone 'AY1'; needed: AA AE AH .* ZH$"),
        ("hi\thh ay\n", "line 1: phone 'hh'"),
        ("hi\tSIL\n", "line 1: phone 'SIL'"),
        (b"hi\t\xff\n", r"own\.tsv is not UTF-8 \(byte 3\); needed: UTF-8"),
    ],
)
def test_wrong_lines_are_named(content, message, own):
    with pytest.raises(ValueError, match=message):
        own(content)


def test_a_file_that_is_missing_or_a_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.tsv does not exist"):
        Lexicon("nothing.tsv")
    with pytest.raises(ValueError, match=f"{tmp_path}, a folder; needed: lines word<TAB>PHONES"):
        Lexicon(tmp_path)


def test_ipa_becomes_arpabet():
    assert arpabet("ˈt͡ʃɝt͡ʃ") == ("CH", "ER", "CH")
    assert arpabet("θɪŋkɪŋ ˌaʊtlaʊd") == (
        "TH",
        "IH",
        "NG",
        "K",
        "IH",
        "NG",
        "AW",
        "T",
        "L",
        "AW",
        "D",
    )
    assert arpabet("k uː b ɐ n eː t") == ("K", "UW", "B", "AH", "N", "EH", "T")  # as if German
    assert arpabet("ǃa") == ()  # a click has no English sound


def test_only_latin_letters_lose_their_marks():
    assert ascii_spelling("čapek") == "capek"
    assert ascii_spelling("straße") == "strasse"
    assert ascii_spelling("ångström") == "angstrom"
    assert ascii_spelling("łódź") == "lodz"
    assert ascii_spelling("йод") == "йод"
    assert ascii_spelling("ど") == "ど"
