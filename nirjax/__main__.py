"""`python -m nirjax`: the command line."""

import sys

from nirjax.cli.main import main

sys.exit(main())
