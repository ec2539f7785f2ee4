"""Start the daemon: `python3 -IS <prefix>/control_plane/locald`."""

import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
# Python puts this folder first, where its `names` or `state` could hide another module's.
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != _HERE]
sys.path.append(str(_HERE.parents[1]))

from control_plane.locald.daemon import main  # noqa: E402  # found only now

if __name__ == "__main__":
    main()
