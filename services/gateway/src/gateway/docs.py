"""The API documents, and pages to read it: Swagger UI from its package, problems by slug."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse

from gateway import problems
from gateway.problems import Entry
from gateway.settings import Login
from kernel.errors import NotFound

ASSETS = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}


class ProblemNotFound(NotFound):
    pass


def mount(
    app: FastAPI,
    document: Mapping[str, Any],
    events: Mapping[str, Any],
    entries: Mapping[str, Entry],
    login: Login,
) -> None:
    """Everything is made once, at start; nothing is fetched from elsewhere."""
    assets = {name: (_asset(name), kind) for name, kind in ASSETS.items()}
    assets["start.js"] = (_start(document, login).encode(), "text/javascript")
    assets["oauth2-redirect.js"] = (REDIRECT_SCRIPT.encode(), "text/javascript")
    raw, raw_events = orjson.dumps(document), orjson.dumps(events)
    pages = {entry.slug: problems.page(entry) for entry in entries.values()}

    async def openapi(_: Request) -> Response:
        return Response(raw, media_type="application/json")

    async def asyncapi(_: Request) -> Response:
        return Response(raw_events, media_type="application/json")

    async def docs(_: Request) -> Response:
        return HTMLResponse(PAGE)

    async def redirect(_: Request) -> Response:
        return HTMLResponse(REDIRECT_PAGE)

    async def asset(request: Request) -> Response:
        body, kind = assets.get(request.path_params["name"], (b"", ""))
        return Response(body, 200 if kind else 404, {"cache-control": "max-age=3600"}, kind or None)

    async def problem(request: Request) -> Response:
        found = pages.get(request.path_params["slug"])
        if found is None:
            raise ProblemNotFound(
                "there is no such problem; /openapi.json lists those of each operation"
            )
        return HTMLResponse(found)

    app.add_route("/openapi.json", openapi)
    app.add_route("/asyncapi.json", asyncapi)
    app.add_route("/docs", docs)
    app.add_route("/docs/oauth2-redirect.html", redirect)
    app.add_route("/docs/{name}", asset)
    app.add_route("/problems/{slug}", problem)


def _asset(name: str) -> bytes:
    return files("fastapi_standalone_docs").joinpath("static", "swagger", name).read_bytes()


def _start(document: Mapping[str, Any], login: Login) -> str:
    """The page fills the document's example of a key in; each command gets a key of its own."""
    example = document["components"]["parameters"]["IdempotencyKey"]["example"]
    oauth = {
        "clientId": login.client_id,
        "usePkceWithAuthorizationCodeGrant": True,
        "scopes": "openid",
    }
    script = START.replace("OAUTH", orjson.dumps(oauth).decode())
    return script.replace("EXAMPLE", orjson.dumps(example).decode())


START = """window.onload = () => {
  const ui = SwaggerUIBundle({
    url: '/openapi.json', dom_id: '#docs', deepLinking: true, persistAuthorization: true,
    oauth2RedirectUrl: location.origin + '/docs/oauth2-redirect.html',
    requestInterceptor: (request) => {
      if (request.headers['Idempotency-Key'] === EXAMPLE)
        request.headers['Idempotency-Key'] = crypto.randomUUID();
      return request;
    },
  });
  ui.initOAuth(OAUTH);
};
"""
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Bayline API</title><link rel="icon" href="data:,"><link rel="stylesheet" href="/docs/swagger-ui.css"></head>
<body><div id="docs"></div>
<script src="/docs/swagger-ui-bundle.js"></script><script src="/docs/start.js"></script></body></html>
"""
REDIRECT_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Signed in - Bayline API</title>
<script src="/docs/oauth2-redirect.js"></script></html>
"""
REDIRECT_SCRIPT = """const oauth2 = window.opener.swaggerUIRedirectOauth2;
const answer = new URLSearchParams(location.search);
const same = answer.get('state') === oauth2.state;
if (same && answer.get('code')) {
  oauth2.auth.code = answer.get('code');
  oauth2.callback({auth: oauth2.auth, redirectUrl: oauth2.redirectUrl});
} else {
  oauth2.errCb({authId: oauth2.auth.name, source: 'auth', level: 'error',
    message: same ? answer.get('error_description') || answer.get('error') || 'no code was given' : 'the state differs'});
}
window.close();
"""
