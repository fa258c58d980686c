"""`python -m nmlib` is the command `nmlib`."""

import sys

from nmlib.cli import main

if __name__ == "__main__":
    sys.exit(main())
