"""The login page of the development issuer: choose who to be."""

from collections.abc import Mapping
from html import escape

from aiohttp import web

from devstack.tokens import EVERY_SITE, ROLES

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'; "
    "form-action 'self' http://localhost:* http://127.0.0.1:*"
)
PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Log in to the local Bayline</title>
<style>
  body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 26rem; margin: 10vh auto; padding: 0 1rem }}
  label {{ display: block; margin: 1rem 0 }}
  input:not([type=checkbox]) {{ display: block; width: 100%; font: inherit; padding: .4rem; box-sizing: border-box }}
  fieldset label {{ margin: 0 }}
  button {{ font: inherit; padding: .5rem 1.5rem }}
</style>
<h1>Log in</h1>
<p>This is the local development issuer. It asks for no password: be whoever you need.</p>
<form method="post" action="/authorize">
  {hidden}
  <label>Tenant <input name="tenant" value="acme" required pattern="[A-Za-z0-9][A-Za-z0-9._\\-]*" autofocus></label>
  <fieldset><legend>Roles</legend>
  {roles}
  </fieldset>
  <label>Sites, separated by commas ({every} for all) <input name="sites" value="{every}"></label>
  <label>Technician, if you are one (its id) <input name="technician"></label>
  <label>Your user id (empty: one made of tenant and role) <input name="subject"></label>
  <button>Log in</button>
</form>
</html>
"""


def page(asked: Mapping[str, str]) -> web.Response:
    """Carries the client's request through the form in hidden fields."""
    body = PAGE.format(
        hidden="\n  ".join(_hidden(name, value) for name, value in asked.items()),
        roles="\n  ".join(map(_role, ROLES)),
        every=EVERY_SITE,
    )
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-store"}
    return web.Response(text=body, content_type="text/html", headers=headers)


def _hidden(name: str, value: str) -> str:
    return f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'


def _role(name: str) -> str:
    checked = " checked" if name == "service_manager" else ""
    return f'<label><input type="checkbox" name="role" value="{name}"{checked}> {name}</label>'
