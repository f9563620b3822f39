"""A stand-in for an EspoCRM server, as `facts/espocrm.md` describes it (versions 9.2.7, 9.3.10, 10.0.0)."""

from __future__ import annotations

from bitbylaw_pipeline.sandbox.espocrm.app import EspoSandbox, create_app

__all__ = ["EspoSandbox", "create_app"]
