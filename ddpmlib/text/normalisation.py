"""English text -> sentences -> spoken words and breaks, by `RULES` one after another."""

import calendar
import re
import string
import unicodedata

from num2words import num2words

from ddpmlib.text.pronunciation import ascii_spelling, dictionary

COMMA, STOP = ",", "."
BREAKS = (COMMA, STOP)
LONGEST = 15  # digits of a number; more of them are read one by one


def _table(text: str) -> dict[str, str]:
    return dict(entry.rsplit("=", 1) for entry in text.split(","))


# Those that never end a sentence, since a name or more follows, and those that may.
INSIDE = _table(
    "mr=mister,mrs=missus,ms=ms,dr=doctor,prof=professor,st=saint,mt=mount,gen=general,rev=reverend,"
    "col=colonel,capt=captain,lt=lieutenant,sgt=sergeant,gov=governor,sen=senator,rep=representative,"
    "e.g=for example,i.e=that is,vs=versus,approx=approximately,fig=figure,vol=volume"
)
ENDINGS = _table(
    "etc=et cetera,inc=incorporated,ltd=limited,corp=corporation,co=company,jr=junior,sr=senior,"
    "dept=department,ave=avenue,blvd=boulevard,rd=road,ph.d=p h d,al=al,st=street,dr=drive"
)
MONTHS = {m[:3].lower(): m.lower() for m in calendar.month_name[1:]} | {"sept": "september"}
UNITS = _table(
    "km=kilometer,m=meter,cm=centimeter,mm=millimeter,kg=kilogram,g=gram,mg=milligram,l=liter,"
    "ml=milliliter,s=second,ms=millisecond,min=minute,h=hour,hr=hour,hrs=hour,ft=foot,mi=mile,"
    "lb=pound,lbs=pound,oz=ounce,Hz=hertz,kHz=kilohertz,MHz=megahertz,GHz=gigahertz,dB=decibel,"
    "kB=kilobyte,MB=megabyte,GB=gigabyte,TB=terabyte,V=volt,W=watt,kW=kilowatt,mph=mile per hour,"
    "km/h=kilometer per hour,m/s=meter per second,°C=degree celsius,°F=degree fahrenheit,°=degree,"
    "$=dollar,£=pound,€=euro,¥=yen,¢=cent"
)
CENTS = {"$": "cent", "£": "penny", "€": "cent"}
SCALES = _table("k=thousand,K=thousand,m=million,M=million,bn=billion,B=billion,tn=trillion")
PLURALS = {"foot": "feet", "penny": "pence", "yen": "yen", "half": "halves"}
SYMBOLS = _table(
    "&=and,@=at,+=plus,%=percent,°=degrees,×=times,÷=divided by,±=plus or minus,<=less than,"
    ">=greater than,²=squared,³=cubed,$=dollar,£=pound,€=euro,#=hashtag,≈=about,==equals"
)
INITIALISMS = {"AI", "GI", "ID", "UN", "US"}  # the dictionary has words that look the same

_END = re.compile(r"(?:\.{2,}|…|[.!?;:])+[\"'”’)\]]*(?=\s|$)|\n(?!\s*[a-z])")
_BEGINNINGS = r"(?:The|This|That|It|He|She|We|They|In|But|And|There|I|A|An)\b"  # after "U.S."
_NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?"
_MONTH = "|".join(name.capitalize() for name in (*MONTHS, *MONTHS.values()))
_UNIT = "|".join(map(re.escape, sorted(UNITS, key=len, reverse=True)))


def sentences(text: str) -> list[str]:
    """Split at the ends of sentences, colons, semicolons, and lines that no small letter follows.

    Raises:
        ValueError: nothing to say.
    """
    _check(text)
    found, start = [], 0
    for mark in _END.finditer(text):
        if _ends(text[start : mark.start()], mark[0], text[mark.end() :].lstrip()):
            found.append(text[start : mark.end()])
            start = mark.end()
    found.append(text[start:])
    return [" ".join(part.split()) for part in found if any(map(str.isalnum, part))]


def spoken_words(sentence: str) -> list[str]:
    """Lower-case words without digits, and breaks, never two in a row; the last item is STOP.

    Accents go where the dictionary has the word without; other alphabets stay.

    Raises:
        ValueError: nothing to say.
    """
    _check(sentence)
    text = _plain(sentence)
    for pattern, spoken in RULES:
        text = re.sub(pattern, spoken, text)
    text = "".join(c if c in "',." or unicodedata.category(c)[0] in "LM" else " " for c in text)
    items = [STOP]
    for item in text.split():
        if any(map(str.isalpha, item)):
            items.append(_word(item))
        elif item in BREAKS and items[-1] not in BREAKS:
            items.append(item)
        elif item == STOP:
            items[-1] = STOP
    return [*items[1:-1], STOP] if items[-1] in BREAKS else [*items[1:], STOP]


def _check(text: str) -> None:
    if not any(map(str.isalnum, text)):
        raise ValueError(f"text is {text!r:.60}; needed: at least one word or number")


def _ends(before: str, mark: str, after: str) -> bool:
    """Whether a sentence ends at a mark, by what stands around it."""
    word, goes_on = re.search(r"[\w.]*$", before)[0], after[:1].islower()
    key = word.casefold()
    if mark.startswith(("..", "…")) or mark[-1] in "\"'”’)]":
        return not goes_on
    if mark != "." or not word:
        return True
    if key == "no" or (key in MONTHS and key != "may"):
        return not after[:1].isdigit()
    if key in INSIDE:
        return not after
    if re.fullmatch("[A-HJ-Z]", word):  # an initial
        return not after[:1].isupper()
    if re.search(r"[A-Z]\.[A-Z]", word):
        return not after or bool(re.match(_BEGINNINGS, after))
    return not (goes_on and (key in ENDINGS or "." in word))


def _plain(text: str) -> str:
    """One form of each character: straight quotes, short dashes, no invisible ones."""
    text = "".join(c for c in text if unicodedata.category(c) != "Cf" and c not in "\ufe0f™®©")
    text = re.sub("[’‘ʼ`´]", "'", re.sub("[−‐‑]", "-", text))
    text = re.sub("[²³]", lambda m: f" {SYMBOLS[m[0]]} ", text)
    text = re.sub(r"(?<=\d)(?=[¼-¾⅐-⅞])", " ", text)
    text = unicodedata.normalize("NFKC", re.sub("№ ?", "#", text)).replace("⁄", "/")
    text = re.sub(r"https?://(www\.)?|\bwww\.", "", text)
    text = re.sub(r"\[[^\w\[\]]*\]", " ", text)  # a sign that shows what the word before it says
    loud = text.isupper() and " " in text.strip()  # one word alone may be an acronym
    return string.capwords(text) if loud else text


def _say(number: str | int, to: str = "cardinal") -> str:
    """Words of 1,234.50; digit by digit where they are no quantity."""
    whole, _, decimals = str(number).replace(",", "").partition(".")
    if len(whole) > LONGEST or (whole[0] == "0" and len(whole) > 1):
        return _digits(whole + decimals)
    words = re.sub("-|, ", " ", num2words(int(whole), to=to))
    return f"{words} point {_digits(decimals)}" if decimals else words


def _digits(text: str) -> str:
    return ", ".join(" ".join(num2words(int(d)) for d in part) for part in re.findall(r"\d+", text))


def _count(number: str, unit: str) -> str:
    """A number with a unit, in the plural unless it is one."""
    first, *rest = unit.split(" ")
    plural = PLURALS.get(first) or first + "s" * (not first.endswith("hertz"))
    return f"{_say(number)} {first if number == '1' else plural} {' '.join(rest)} "


def _money(m: re.Match) -> str:
    sign, number, scale = m["sign"], m["number"], m["scale"]
    whole, _, cents = number.partition(".")
    if scale:
        return f" {_say(number)} {SCALES.get(scale, scale)} {UNITS[sign]}s "
    if sign not in CENTS or len(cents) != 2:
        return f" {_count(number, UNITS[sign])}"
    parts = [(whole, UNITS[sign]), (str(int(cents)), CENTS[sign])]
    return " " + " and ".join(_count(*part) for part in parts if part[0] != "0" or number == "0.00")


def _fraction(m: re.Match) -> str:
    whole, count, parts = m.groups()
    if not 0 < int(count) < int(parts):
        return m[0].replace("/", " slash ")
    name = {"2": "half", "4": "quarter"}.get(parts) or _say(parts, "ordinal")
    return f"{whole} and {_count(count, name)}" if whole else f" {_count(count, name)}"


def _time(m: re.Match) -> str:
    hour, minute, half = int(m["hour"]), int(m["minute"] or 0), m["half"]
    said = _say(minute) if minute > 9 else f"oh {_say(minute)}" if minute else ""
    if not (minute or half):
        said = "o'clock" if hour <= 12 else "hundred"
    return f" {_say(hour)} {said} {_spelled(half + 'm') if half else ''} "


def _date(m: re.Match) -> str:
    name, parts = m["month"].lower(), m.groupdict()
    month = list(MONTHS.values())[int(name) - 1] if name.isdigit() else MONTHS.get(name, name)
    day = _say(int(m["day"]), "ordinal")
    both = f"{day} {month}" if "first" in parts else f"{month} {day}"
    return f" {both}, {_say(m['year'], 'year')} " if parts.get("year") else f" {both} "


def _spelled(letters: str) -> str:
    """Letters as words; the word "a" is not the letter."""
    return " ".join("ay" if c in "aA" else c.lower() for c in letters if c != ".")


def _acronym(m: re.Match) -> str:
    spelled = m[1] in INITIALISMS or m[1].lower() not in dictionary()
    return _spelled(m[1]) + "'s" * bool(m[2]) if spelled else m[0]


def _word(item: str) -> str:
    word = item.lower().rstrip("'")
    if word.startswith("'") and word not in dictionary():
        word = word.lstrip("'")
    plain = ascii_spelling(word)
    return plain if plain != word and plain in dictionary() else word


_SCALE = "|".join(("thousand", "million", "billion", "trillion", *SCALES))
_HALF = r"(?P<half>[AaPp])(?:[Mm]\b|\.[Mm]\.?)"
_DAY = r"(?P<day>\d\d?)(?:st|nd|rd|th)?"
RULES = [
    (r"\b(?P<year>\d{4})-(?P<month>0[1-9]|1[0-2])-(?P<day>[0-3]\d)\b", _date),
    (
        r"(?<![\w.])(?:\+\d[\d ()-]{6,}\d|(?:\(\d{3}\) ?|\d{3}[ -])?\d{3}-\d{4}"
        r"|0\d{2,4}(?: \d{2,4}){2,}|\d+(?:-\d+){2,})\b",
        lambda m: "plus " * (m[0][0] == "+") + _digits(m[0]),
    ),
    (rf"\b(?P<hour>[01]?\d|2[0-3]):(?P<minute>[0-5]\d)(?::\d\d)?(?: ?{_HALF})?", _time),
    (rf"\b(?P<hour>1?\d)(?P<minute>) ?{_HALF}", _time),
    (r"\b[Nn][Oo]\. ?(?=\d)|#(?=\d)", " number "),
    (rf"\b(?P<month>{_MONTH})\.? {_DAY}\b(?![:%])", _date),
    (rf"\b(?P<first>){_DAY} (?P<month>{_MONTH})\b\.?", _date),
    (r"(?<![\w)])-(?=[$£€]?\d)", " minus "),
    (r"(?<=[\d%m])(?:-| ?– ?)(?=[$£€¥]?\d)", " to "),
    (r"(?<=\d) - (?=\d)", " minus "),
    (rf"(?P<sign>[$£€¥]) ?(?P<number>{_NUMBER})(?: ?(?P<scale>{_SCALE})\b)?", _money),
    (r"\b(\d\d00|(?:\d\d)?[2-9]0)s\b", lambda m: re.sub("y$", "ie", _say(m[1], "year")) + "s"),
    (r"\b(\d[\d,]*)(?:st|nd|rd|th)\b", lambda m: _say(m[1], "ordinal")),
    (r"(?:\b(?P<whole>\d+) )?\b(?P<count>\d{1,2})/(?P<parts>\d{1,2})\b(?!/)", _fraction),
    (r"(?<=\d)/(?=\d)", " slash "),
    (r"(?<=\d)(?:x| x )(?=\d)", " by "),
    (rf"({_NUMBER}) ?({_UNIT})(?![\w°/])", lambda m: f" {_count(m[1], UNITS[m[2]])}"),
    (r"(?<![\w.,])(1[1-9]\d\d|20\d\d)(?![\w%]|[.,]\d| %)", lambda m: _say(m[1], "year")),
    (r"\d+(?:\.\d+){2,}", lambda m: f" {' point '.join(map(_say, m[0].split('.')))} "),
    (r"(?<!\w)\.(\d+)", lambda m: f" point {_digits(m[1])} "),
    (r"\bA(?=-?\d)|^\W*[Aa]\W*$", "ay "),
    (_NUMBER, lambda m: f" {_say(m[0])} "),
    (r"\b(St|Dr)\.(?= [a-z])", lambda m: ENDINGS[m[1].lower()]),
    (
        rf"\b(?:((?i:{'|'.join(INSIDE)}))\.(?= ?\w)|(Dr|Mt|Prof|St)(?= [A-Z])|(vs)\b)",
        lambda m: INSIDE[m[0].lower().rstrip(".")],
    ),
    (rf"\b((?i:{'|'.join(ENDINGS)}))\.", lambda m: ENDINGS[m[1].lower()]),
    (r"\b[A-Za-z](?:\.[A-Za-z])+\b\.?|\b[A-HJ-Z]\.(?= [A-Z])", lambda m: _spelled(m[0])),
    (r"(?<=\w)\.(?=\w)", " dot "),
    (r"\b([A-Z]{2,5})('?s)?\b", _acronym),
    (f"[{''.join(SYMBOLS)}]", lambda m: f" {SYMBOLS[m[0]]} "),
    (r"\.{2,}|\s-+\s|--+|[,:;()\[\]{}–—、،]", " , "),
    (r"[.!?。؟]", " . "),
    (r"\B'n'\B", "and"),
    (r"(?<!\w)'(?=\w.*\w'(?!\w))", " "),  # a quotation mark, since there is a closing one
]
