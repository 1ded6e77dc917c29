"""`python -m semsearch` is `semsearch`."""

from .interfaces.cli.main import main

if __name__ == "__main__":
    main()
