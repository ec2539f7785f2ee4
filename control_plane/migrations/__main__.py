"""`python -m control_plane.migrations`: bring this installation's database to this version."""

from control_plane.kit.db import Database
from control_plane.migrations.run import is_at_head, upgrade
from control_plane.settings import Settings


def main() -> None:
    """Migrate if anything is lacking, and say in one word whether it was."""
    db = Database(Settings().database_url.get_secret_value())
    if is_at_head(db):
        print("present")  # noqa: T201  # the answer to whoever called
        return
    upgrade(db)
    print("applied")  # noqa: T201


if __name__ == "__main__":
    main()
