import os
import sys

from akd.cli import main
from akd.place import place

code = main()
if place().size > 1:
    # Threads of gloo now and then abort a process that goes on to end in the ordinary way.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
sys.exit(code)
