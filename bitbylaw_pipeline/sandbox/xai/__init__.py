"""The stand-in of xAI's Files and Collections APIs (`facts/xai.md`)."""

from bitbylaw_pipeline.sandbox.xai.app import XaiSandbox, create_app

__all__ = ["XaiSandbox", "create_app"]
