"""The status page as HTML: templates, stylesheet, and headers under which a browser loads and keeps nothing else."""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from webhook_sensor_app.status_findings import Level

_PACKAGE = "webhook_sensor_app"
_POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
NOT_KEPT = {"cache-control": "no-store", "vary": "Accept, Authorization, X-Api-Key"}
SYMBOLS = {Level.WELL: "✓", Level.LOOK: "!", Level.TROUBLE: "✕"}


class StatusRendering:
    """The templates of this package, with everything escaped; a name that a template lacks is an error."""

    def __init__(self) -> None:
        self._templates = Environment(
            loader=PackageLoader(_PACKAGE, "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._style = resources.files(_PACKAGE).joinpath("templates/style.css").read_bytes()
        # A new stylesheet has a new address, so that nobody looks at the new page through the old one.
        version = hashlib.sha256(self._style).hexdigest()[:12]
        self._templates.filters["told"] = told
        self._templates.globals |= {"style": f"status/style.css?v={version}", "symbols": SYMBOLS}

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """The template as an answer."""
        text = self._templates.get_template(template).render(**values)
        return HTMLResponse(text, status, HEADERS | NOT_KEPT)

    def style(self) -> Response:
        """The stylesheet, the one thing that the page loads."""
        return Response(
            self._style, media_type="text/css", headers=HEADERS | {"cache-control": "max-age=86400"}
        )


def told(sentence: str) -> Markup:
    """The sentence, escaped, with what stands between backticks as a command."""
    parts = sentence.split("`")
    if len(parts) % 2 == 0:
        # One backtick too many: then it is one of a text that knows nothing of them.
        return Markup("{}").format(sentence)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else part for number, part in enumerate(parts)
    )
