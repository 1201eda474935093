"""`session-core`, also as `python -m session_core`."""

import sys

from session_core.cli import main

if __name__ == "__main__":
    sys.exit(main())
