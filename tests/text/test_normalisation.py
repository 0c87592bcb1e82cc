"""Text as words that are spoken: numbers, abbreviations, capitals, breaks, other alphabets."""

import time
from itertools import pairwise

import pytest

from ddpmlib.text.normalisation import BREAKS, COMMA, STOP, sentences, spoken_words
from ddpmlib.text.pronunciation import Lexicon

SPOKEN = {
    "Dr. Smith paid $3.50, on 5th May 1999!": (
        "doctor smith paid three dollars and fifty cents , on fifth may nineteen ninety nine ."
    ),
    # numbers
    "0 1 12 100 1001": "zero one twelve one hundred one thousand and one .",
    "1,234,567 people": (
        "one million two hundred and thirty four thousand five hundred and sixty seven people ."
    ),
    "-5 and −3": "minus five and minus three .",
    "3.50 or .5": "three point five zero or point five .",
    "10-12, 10 – 12": "ten to twelve , ten to twelve .",
    "5 - 3 = 2": "five minus three equals two .",
    "2 × 3 + 1, 4 x 4": "two times three plus one , four by four .",
    "1st 2nd 3rd 21st 100th": "first second third twenty first one hundredth .",
    "007": "zero zero seven .",
    "1000100010001000": "one zero zero zero " * 4 + ".",
    "version 1.2.3": "version one point two point three .",
    "50% of 7 %": "fifty percent of seven percent .",
    "1/2, 3/4, 2/3, 2½": "one half , three quarters , two thirds , two and one half .",
    "24/7, 5/3/1999": "twenty four slash seven , five slash three slash nineteen ninety nine .",
    "٣٤ and １２": "thirty four and twelve .",
    "COVID-19, MP3, x86, A4": "c o v i d nineteen , m p three , x eighty six , ay four .",
    "IPv6 x86, 3x5": "ipv six x eighty six , three by five .",
    "№5, № 7": "number five , number seven .",
    # years, dates, times
    "In 1905, 1900, 2005 and 2024.": (
        "in nineteen oh five , nineteen hundred , two thousand and five and twenty twenty four ."
    ),
    "the 1990s, '90s and 1900s": "the nineteen nineties , nineties and nineteen hundreds .",
    "1914–1918": "nineteen fourteen to nineteen eighteen .",
    "May 5, 1999": "may fifth , nineteen ninety nine .",
    "Jan. 3rd, 4 Sept.": "january third , fourth september .",
    "2024-05-03": "may third , twenty twenty four .",
    "3:45 pm, 9:05, 12:00, 15:00": (
        "three forty five p m , nine oh five , twelve o'clock , fifteen hundred ."
    ),
    "3 a.m. or 11PM": "three ay m or eleven p m .",
    # money, units
    "$1, $1.01, $0.50, $1,000": (
        "one dollar , one dollar and one cent , fifty cents , one thousand dollars ."
    ),
    "£2.02 or €1 or ¥500": (
        "two pounds and two pence or one euro or five hundred yen ."
    ),
    "$0.00 or $2.00": "zero dollars and zero cents or two dollars .",
    "$3.5 million, £5bn": "three point five million dollars , five billion pounds .",
    "20 € and 5¢": "twenty euros and five cents .",
    "1 km, 5 km, 60 mph": "one kilometer , five kilometers , sixty miles per hour .",
    "6 ft, 22 kHz, 1 m/s": "six feet , twenty two kilohertz , one meter per second .",
    "20°C, 5kg, 10 m²": (
        "twenty degrees celsius , five kilograms , ten meters squared ."
    ),
    # telephones
    "555-1234": "five five five , one two three four .",
    "+44 20 7946 0958": "plus four four , two zero , seven nine four six , zero nine five eight .",
    # abbreviations, capitals
    "Mr. and Mrs. Jones vs. Prof Lee": "mister and missus jones versus professor lee .",
    "St. John lives on Main St. now": "saint john lives on main street now .",
    "e.g. this, i.e. that, etc.": "for example this , that is that , et cetera .",
    "No. 5, no. 6, #7. No.": "number five , number six , number seven . no .",
    "J. R. Tolkien in the U.S. and a Ph.D.": "j r tolkien in the u s and a p h d .",
    "A GPU, two GPUs, the TTS's": "a g p u , two g p u's , the t t s's .",
    "IBM, NASA and OK": "ibm , nasa and ok .",
    "MGCP": "m g c p .",
    "HELLO": "hello .",
    "A": "ay .",
    "AI in the US": "ay i in the u s .",
    "ALL GPU CAPITALS, DR. JONES": "all gpu capitals , doctor jones .",
    # symbols, addresses
    "you & me @ home + #tag": "you and me at home plus hashtag tag .",
    "a.b@example.com": "ay b at example dot com .",
    "https://www.example.com": "example dot com .",
    # breaks
    "One -- two — three; four: (five)... six": "one , two , three , four , five , six .",
    "!? Well?! Yes... ,": "well . yes .",
    '"Stop," he said (so). She': "stop , he said , so . she .",
    "well-known and/or old_fashioned": "well known and or old fashioned .",
    "no break 😀 here, ❤️ none": "no break here , none .",
    "soft\u00adware™ \u2139\ufe0f": "software i .",
    # apostrophes
    "Don't, it’s five o’clock, dogs' y'all": "don't , it's five o'clock , dogs y'all .",
    "'Hello,' he said": "hello , he said .",
    "'bout time, 'bout' or 'round'": "bout time , bout or round .",
    "Get 'em, rock 'n' roll": "get 'em , rock and roll .",
    # alphabets
    "café naïve Dvořák": "cafe naive dvorak .",
    "zürichsee": "zürichsee .",
    "Привет, 你好 नमस्ते": "привет , 你好 नमस्ते .",
}  # fmt: skip


@pytest.mark.parametrize("text", SPOKEN)
def test_text_is_spoken_as(text):
    assert " ".join(spoken_words(text)) == SPOKEN[text]


@pytest.mark.parametrize("text", SPOKEN)
def test_items_are_words_without_digits_and_single_breaks(text):
    words = spoken_words(text)
    assert words[0] not in BREAKS
    assert words[-1] == STOP
    assert not any(a in BREAKS and b in BREAKS for a, b in pairwise(words))
    for word in set(words) - set(BREAKS):
        assert word == word.lower()
        assert all(c == "'" or not (c.isdigit() or c.isspace() or c in ",.-$") for c in word)


def test_the_letter_a_is_not_the_word():
    lexicon = Lexicon()
    assert lexicon.pronounce(spoken_words("AI")[0])[0] == ("EY",)
    assert lexicon.pronounce(spoken_words("an AI")[1])[0] == ("EY",)
    assert lexicon.pronounce(spoken_words("a dog")[0])[0] == ("AH",)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("First; second: third", ["First;", "second:", "third"]),
        ("Dr. Smith and Mr. Jones. Then e.g. this vs. that.",
         ["Dr. Smith and Mr. Jones.", "Then e.g. this vs. that."]),
        ("It costs 3.5 or $4.20. No. 5 is out.", ["It costs 3.5 or $4.20.", "No. 5 is out."]),
        ("I said no. Then yes.", ["I said no.", "Then yes."]),
        ("The U.S. Army left the U.S. The end.", ["The U.S. Army left the U.S.", "The end."]),
        ("At 3 p.m. we met at 4 p.m. We left.", ["At 3 p.m. we met at 4 p.m.", "We left."]),
        ("J. R. Tolkien, and so do I. He did.", ["J. R. Tolkien, and so do I.", "He did."]),
        ("Wait... what? Yes... No.", ["Wait... what?", "Yes...", "No."]),
        ('"Stop!" he said. "Go." She went.', ['"Stop!" he said.', '"Go."', "She went."]),
        ("A title\nA line\nwrapped.\n\nNext", ["A title", "A line wrapped.", "Next"]),
        ("...\n***\nText.\n!!", ["Text."]),
        ("Go Inc. made it. Go Inc. It did.", ["Go Inc. made it.", "Go Inc.", "It did."]),
        ("At 3:45 he left", ["At 3:45 he left"]),
        ("hello there. how are you", ["hello there.", "how are you"]),
    ],
)  # fmt: skip
def test_sentences_end_where_they_end(text, parts):
    assert sentences(text) == parts


@pytest.mark.parametrize("text", ["", "  \n", "...", "?! — *** ❤️", "$ & @"])
@pytest.mark.parametrize("split", [sentences, spoken_words])
def test_nothing_to_say_is_refused(text, split):
    with pytest.raises(ValueError, match="needed: at least one word or number") as error:
        split(text)
    assert repr(text) in str(error.value)


def test_a_long_text_takes_no_time():
    spoken_words("a CAT é 1")  # what is loaded once
    text = "On 5 May 1999 Dr. O'Neil paid $3.50, 'nearly' 20% of it; the GPUs - all 12 - did. " * 60
    started = time.process_time()
    words = [word for sentence in sentences(text) for word in spoken_words(sentence)]
    assert len(words) > 1500
    assert time.process_time() - started < 1
    assert words.count(COMMA) == 60 * 3


def test_long_quotations_and_digits_take_no_time():
    started = time.process_time()
    spoken_words("it's 'so' " * 1000 + "1" * 1000 + " 1,2" * 1000 + "-" * 1000)
    assert time.process_time() - started < 1
