"""Rewrites the tables of RESULTS.md, between their markers, from results/*.json; all else in it stays as it is."""

import json
import re
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> None:
    path = HERE / "RESULTS.md"
    text = path.read_text("utf-8")
    for found in re.findall(r"<!-- begin (\w+) -->", text):
        result = HERE / "results" / f"{found}.json"
        if result.is_file():
            table = rendered(json.loads(result.read_text("utf-8")))
            pattern = rf"(<!-- begin {found} -->\n).*?(<!-- end {found} -->)"
            text = re.sub(pattern, lambda match, table=table: match[1] + table + match[2], text, flags=re.DOTALL)
    path.write_text(text, "utf-8")


def rendered(result: dict) -> str:
    """Returns a result as a note, a table, and a line on the machine."""
    lines = [result["note"], ""] if result.get("note") else []
    lines += [row_of(result["columns"]), row_of(["---"] * len(result["columns"]))]
    lines += [row_of(map(shown, row)) for row in result["rows"]]
    machine = result["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    threads = f"{machine['threads']} thread" + "s" * (machine["threads"] > 1)
    lines += [
        "",
        f"{machine['processor']}, {machine['cores']} cores, {threads}; python {machine['python']}, {versions}.",
    ]
    return "\n".join(lines) + "\n"


def row_of(cells) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def shown(value) -> str:
    if not isinstance(value, float):
        return str(value)
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{value:.1e}"


if __name__ == "__main__":
    main()
