#!/usr/bin/env bash
# One expects a number in words to keep its sign. Between -1 and 0 it loses it: -0.5 is "zero point
# five" as a float, while -1.5 is "minus one point five"; in German, French and Spanish likewise.
# Decimals keep the sign. It matters wherever text is normalised before it is spoken or aligned:
# a temperature or a gain in dB turns into its opposite, and no error is raised. The project says
# the sign itself, and gives num2words the digits without it.
# num2words 0.5.14
#
# Seen: -0.5 -> zero point five; -1.5 -> minus one point five; Decimal -0.5 -> zero point five
#       de: null Komma fünf; fr: zéro virgule cinq; es: cero punto cinco
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"${PYTHON:-python3.11}" -m venv venv
venv/bin/pip install --quiet num2words==0.5.14
venv/bin/python - <<'PYTHON'
from decimal import Decimal

from num2words import num2words

found = [num2words(number) for number in (-0.5, -1.5, Decimal("-0.5"))]
print("-0.5 -> {}; -1.5 -> {}; Decimal -0.5 -> {}".format(*found))
others = {lang: num2words(-0.5, lang=lang) for lang in ("de", "fr", "es")}
print("; ".join(f"{lang}: {words}" for lang, words in others.items()))
assert found[0] == found[2] == num2words(0.5), found
assert found[1].startswith("minus"), found
assert all(words == num2words(0.5, lang=lang) for lang, words in others.items()), others
PYTHON
