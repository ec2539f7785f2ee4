"""What the product asks of the outside world; each port has a memory adapter and real ones.

A port's module holds a Protocol and the frozen values that cross it. It knows no database, no
room and no vendor. Adapters raise `kit.errors.Unavailable` (try again) or `kit.errors.Refused`
(stop, tell the owner) and nothing else that a caller should catch.
"""
