"""`python -m tagkit.cli`: the same as `tagkit`."""

import sys

from tagkit.cli import main

sys.exit(main())
