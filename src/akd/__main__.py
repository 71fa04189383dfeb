import sys

from akd.cli import main

sys.exit(main())
