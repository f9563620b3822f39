"""Alembic's environment for the state database."""
