"""The engine: carries each life from wish to fact, one short step at a time.

It knows no room. The database remembers, messages only wake; a step's effect runs with no
transaction open, and its outcome is recorded in a second one, fenced by the lease's counter.
"""
