"""Edubba: a self-hosted hosting control plane for a national data centre."""
