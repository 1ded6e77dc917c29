"""`python -m semsearch` is `semsearch`."""

from .shells.cli.main import main

if __name__ == "__main__":
    main()
