"""Tools without business: clock, ids, money, database, errors, HTTP, logs, metrics, pages."""
