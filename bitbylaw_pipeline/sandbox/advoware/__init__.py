"""The stand-in of Advoware's REST API (`facts/advoware.md`)."""

from bitbylaw_pipeline.sandbox.advoware.app import AdvowareSandbox, create_app

__all__ = ["AdvowareSandbox", "create_app"]
