"""A newcomer's browser at /docs: it signs in, and tries commands out."""

import shutil
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Locator, Page, async_playwright

from devstack.stack import Stack
from devstack.topology import GATEWAY


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    """In the system's own browser. Its sandbox does not work for root; only our page is opened."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        yield await browser.new_page()
        await browser.close()


async def test_a_newcomer_signs_in_at_the_documents_and_tries_commands_out(
    page: Page, whole_stack: Stack
) -> None:
    wrong = _complaints(page)
    [docs] = [f"{one.address}/docs" for one in whole_stack.parts.all() if one.name == GATEWAY.name]
    await page.goto(docs)

    await _signed_in_as_fleet_manager(page)
    me = await _sent(page, await _opened(page, "Me-getMe"), "/v1/me")
    register = await _opened(page, "Vehicles-registerVehicle")
    vehicles = [await _sent(page, register, "/v1/vehicles") for _ in range(2)]

    assert (me["tenant"], me["roles"]) == ("acme", ["fleet_manager", "service_manager"])
    assert vehicles[0]["name"] != vehicles[1]["name"]
    assert wrong == []


def _complaints(page: Page) -> list[str]:
    """What the browser finds wrong from now on: scripts, policies, answers."""
    wrong: list[str] = []
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    return wrong


async def _signed_in_as_fleet_manager(page: Page) -> None:
    await page.locator(".btn.authorize").click()
    login = page.locator(".auth-container", has_text="OAuth2")
    async with page.expect_popup() as opened:
        await login.locator("button.authorize").click()
    form = await opened.value
    await form.check("input[value=fleet_manager]")
    async with page.expect_response("**/token"):
        await form.click("button")
    await login.get_by_text("Logout").wait_for()
    await page.locator(".btn-done").first.click()


async def _opened(page: Page, operation: str) -> Locator:
    """The operation, ready to be executed as the page fills it in."""
    found = page.locator(f"#operations-{operation}")
    await found.locator(".opblock-summary-control").click()
    await found.locator(".try-out__btn").click()
    return found


async def _sent(page: Page, operation: Locator, path: str) -> Any:
    async with page.expect_response(f"**{path}") as answered:
        await operation.locator("button.execute").click()
    answer = await answered.value
    assert answer.status == 200, await answer.text()
    return await answer.json()
