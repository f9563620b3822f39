"""The stand-in of Google Calendar v3 and of Google's token endpoint (`facts/two_way_sync.md` 2)."""

from bitbylaw_pipeline.sandbox.google.app import GoogleSandbox, create_app

__all__ = ["GoogleSandbox", "create_app"]
