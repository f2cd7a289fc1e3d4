"""python -m daemon, the same as the command visaged."""

import sys

from daemon.cli import main

sys.exit(main())
