"""python -m vit_engine"""

import sys

from vit_engine.cli import main

if __name__ == "__main__":
    sys.exit(main())
