#!/usr/bin/env bash
# One expects 5, 5.0 and "5" to be the same amount of money. In `to="currency"` a whole number counts
# the smallest unit, a float or a text the main one: 5 is "zero dollars, five cents", 5.0 and "5" are
# "five dollars, zero cents". It matters wherever prices are read out: whether one was parsed as int
# or float decides about a factor of a hundred. The project counts dollars and cents itself.
# num2words 0.5.14
#
# Seen: 2147 -> twenty-one dollars, forty-seven cents
#       2147.0 -> two thousand, one hundred and forty-seven dollars, zero cents
#       de, 5 -> null Euro und fünf Cent; 5.0 -> fünf Euro und null Cent
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"${PYTHON:-python3.11}" -m venv venv
venv/bin/pip install --quiet num2words==0.5.14
venv/bin/python - <<'PYTHON'
from num2words import num2words


def said(amount, currency="USD", lang="en"):
    return num2words(amount, to="currency", currency=currency, lang=lang)


print(f"2147 -> {said(2147)}\n2147.0 -> {said(2147.0)}")
print(f"de, 5 -> {said(5, 'EUR', 'de')}; 5.0 -> {said(5.0, 'EUR', 'de')}")
assert said(2147) == said(21.47) != said(2147.0) == said("2147")
assert said(5, "EUR", "de") == said(0.05, "EUR", "de") != said(5.0, "EUR", "de")
PYTHON
