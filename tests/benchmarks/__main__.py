"""`python tests/benchmarks [PART ...]` measures, and writes the table. No PART: all but quality.

Nothing else should run meanwhile.
"""

import argparse
import importlib

from report import TABLE, save

PARTS = ("preparation", "training", "sampling", "vocoder", "start", "growth", "versions")
LONG = ("quality",)  # hours

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python tests/benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS + LONG))
    chosen = parser.parse_args().parts or PARTS
    if unknown := set(chosen) - {*PARTS, *LONG}:
        raise SystemExit(f"unknown part {unknown.pop()}; known: {', '.join(PARTS + LONG)}")
    for part in chosen:
        print(f"measuring {part} ...", flush=True)
        save(part, importlib.import_module(part).measure())
    print(TABLE.read_text())
