"""Stoker's command: `python run.py --mode prod`; all commands with `python run.py --help`.

Python puts this file's folder, the checkout, on the import path; nothing else is added.
"""

import sys

if sys.hexversion < 0x030B0000:  # what is said to whoever tries an older one
    sys.exit("Stoker needs Python 3.11 or newer; this is " + sys.version.split()[0])

try:
    from src.cli import main
except KeyboardInterrupt:  # in the first second, while modules are read
    sys.exit(130)
except ModuleNotFoundError as error:
    sys.exit(f"{error.name} is not installed here: run `make venv`, then use .venv/bin/python")

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
