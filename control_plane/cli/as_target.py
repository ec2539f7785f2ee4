"""pip as if it ran where the application will: a program, `as_target.py FACTS download …`.

By options pip chooses wheels of another platform, and yet judges markers such as
`; sys_platform == "win32"` by the machine it runs on. FACTS are those of the other one, as JSON.
"""

import json
import runpy
import sys

from pip._vendor.packaging import markers


def main() -> None:
    """Become pip."""
    facts = json.loads(sys.argv.pop(1))
    here = markers.default_environment()
    markers.default_environment = lambda: {**here, **facts}
    runpy.run_module("pip", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
