#!/usr/bin/env python3
"""Ingest files and folders into a collection: `scripts/ingest.py docs/` is `semsearch ingest docs/`."""

import sys

from semsearch.interfaces.cli.main import main

if __name__ == "__main__":
    sys.argv.insert(1, "ingest")
    main()
