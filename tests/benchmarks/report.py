"""Results of the benchmarks: `results.json`, one part at a time, and `results.md`, the table."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from timing import machine

FOLDER = Path(__file__).parent
RESULTS, TABLE = FOLDER / "results.json", FOLDER / "results.md"


@dataclass
class Row:
    """One figure beside what a user would take instead; a ratio above 1 is in our favour."""

    work: str
    ours: float | None = None
    unit: str = ""
    beside: str = ""
    theirs: float | None = None
    ratio: float | None = None  # median of the ratios of each round
    goal: float | None = None  # of the ratio, or of ours where there is no other
    note: str = ""


def save(part: str, rows: list[Row]) -> None:
    """Put the rows of a part in place of its last ones, and write the table again."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results[part] = machine() | {"rows": [asdict(row) for row in rows]}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    TABLE.write_text(table(results))


def table(results: dict) -> str:
    """Markdown: a table for each part, under the machine and the day it was measured on."""
    lines = ["# Measured beside what a user would take instead", ""]
    lines += [
        "Made by `make bench`. A ratio is the median over rounds in which all took turns.",
        "",
    ]
    for part, result in results.items():
        where = f"{result['date']}; {result['processor']}; {result['versions']}"
        lines += [f"## {part}", "", where, ""]
        lines += ["| work | ours | beside | theirs | ratio | goal |", "|---|---|---|---|---|---|"]
        for row in (Row(**values) for values in result["rows"]):
            cells = [row.work, f"{number(row.ours)} {row.unit}", row.beside, number(row.theirs)]
            cells += [number(row.ratio), number(row.goal)]
            lines.append(f"| {' | '.join(cells)} |")
        if (FOLDER / f"{part}.png").exists():
            lines += ["", f"![{part}]({part}.png)"]
        lines += [""] + [f"* {r['work']}: {r['note']}" for r in result["rows"] if r["note"]] + [""]
    return "\n".join(lines)


def number(value: float | None) -> str:
    """Three digits; nothing for None."""
    return "" if value is None else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
