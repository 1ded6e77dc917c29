"""Draw docs/answer.svg, the picture in the README: the current answer to a question to the sample handbook."""

import io
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

REPO = Path(__file__).parent.parent
QUESTION = "How long is parental leave?"
WIDTH = 104

# only fonts of the viewer: a picture in a README cannot load any
SVG_TEMPLATE = """<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
font-size: {char_height}px; line-height: {line_height}px; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" /></clipPath>
{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g>
</g>
</svg>
"""


def run_transcript() -> str:
    """Run the question in a new library; return the command and its output."""
    with tempfile.TemporaryDirectory() as folder:
        semsearch = [sys.executable, "-m", "semsearch", "--data-dir", folder]
        subprocess.run([*semsearch, "ingest", str(REPO / "examples" / "handbook")], check=True, capture_output=True)
        ask = [*semsearch, "ask", QUESTION, "-k", "3"]
        completed = subprocess.run(ask, check=True, capture_output=True, text=True, env={"COLUMNS": str(WIDTH)})
    return f'$ semsearch ask "{QUESTION}" -k 3\n{completed.stdout}'


def main() -> None:
    """Draw the picture."""
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    transcript = Text(run_transcript().rstrip())
    transcript.highlight_regex(r"(?m)^\$.*$", "bold")
    transcript.highlight_regex(r"\[\d+\]", "bold cyan")
    transcript.highlight_regex(r"(?m)^(?:Best excerpt|Closest passages)$", "bold")
    transcript.highlight_regex(r"(?s)»[^«]*«", "green")
    console.print(transcript)
    picture = console.export_svg(title="semsearch", code_format=SVG_TEMPLATE, unique_id="answer")
    (REPO / "docs" / "answer.svg").write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
