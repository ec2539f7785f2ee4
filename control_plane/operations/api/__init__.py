"""The doors to lives, their events, the ledger, and to what watches the platform itself."""
