"""The `scripts/bench` command."""

import argparse
import json
import os
import platform
import time
from pathlib import Path

from . import quality, speed, support

BENCHMARKS = {"quality": quality, "speed": speed, "support": support}
SHARED = Path(os.environ.get("SEMSEARCH_SHARED_DATA", Path(__file__).parents[2].parent / "shared" / "data"))


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measure semsearch on real collections.",
        epilog="\n".join(f"{name:10}{module.__doc__}" for name, module in BENCHMARKS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("benchmark", choices=BENCHMARKS)
    parser.add_argument(
        "--data", type=Path, default=SHARED, help="folder of the judged collections (default: %(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the figures in FILE")
    parser.add_argument("--limit", type=int, metavar="N", help="take only the first N questions: quick, for a look")
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        parser.error(f"there are no collections in {arguments.data}; say where with --data or SEMSEARCH_SHARED_DATA")
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    print(f"{time.strftime('%Y-%m-%d %H:%M')}, {machine}")
    figures = BENCHMARKS[arguments.benchmark].measure(arguments.data, arguments.limit)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


main()
