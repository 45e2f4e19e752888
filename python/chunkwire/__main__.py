"""``python -m chunkwire``: the command line."""

import sys

from chunkwire._cli import main

sys.exit(main())
