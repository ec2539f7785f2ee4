"""`python -m visits.migrate`: run once in each new release, before it goes live."""

from visits.records import migrate

if __name__ == "__main__":
    migrate()
    print("The tables are as this release needs them.")
