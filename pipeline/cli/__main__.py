"""`python -m pipeline.cli` is `augmint`."""

import sys

from pipeline.cli import main

sys.exit(main())
