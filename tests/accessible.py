"""What people cannot use on a page as axe-core finds it, and what the keyboard alone reaches."""

from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Locator, Page, expect

# What WCAG asks for at the levels A and AA, and what else hinders people. Frames and files of styles are our own.
OPTIONS = {"resultTypes": ["violations"], "iframes": False, "preload": False, "selectors": False}
HINDERING = ("serious", "critical")
# What else there is to say in the dark: the rest is as it was in the light.
COLOURS = {**OPTIONS, "runOnly": ["color-contrast"]}
# Colours that fade would be taken half way.
SETTLE = "document.getAnimations().forEach(each => each.finish())"
TURN = f"dark => {{ document.documentElement.classList.toggle('dark', dark); {SETTLE}; }}"


def hindrances(page: Page) -> list[str]:
    """Return each serious or critical violation on the page as it stands, in the light and in the dark."""
    page.evaluate(SETTLE)
    found = _violations(page, OPTIONS)
    page.evaluate(TURN, True)
    found += [f"in the dark, {each}" for each in _violations(page, COLOURS)]
    page.evaluate(TURN, False)
    return found


def _violations(page: Page, options: dict[str, Any]) -> list[str]:
    # The policy of the page is not asked: the browser evaluates for who drives it.
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(AXE_SCRIPT)
    told = page.evaluate("options => axe.run(options)", options)
    return [
        f"{violation['id']}: {node['html']} {node['failureSummary']}"
        for violation in told["violations"]
        if violation["impact"] in HINDERING
        for node in violation["nodes"]
    ]


# What tells where the focus is: a line around it, or a shadow.
SEEN = """() => {
    const style = getComputedStyle(document.activeElement);
    const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
    return outlined || style.boxShadow !== "none" || document.activeElement === document.body;
}"""
HTML = "document.activeElement.outerHTML.slice(0, 200)"


def reach(page: Page, wanted: Locator, *, most: int = 80) -> None:
    """Go on by Tab until the element has the focus; whatever has it on the way must show it."""
    expect(wanted).to_be_visible()
    for _stop in range(most):
        if wanted.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
        assert page.evaluate(SEEN), page.evaluate(HTML)
    raise AssertionError(f"Tab does not lead there in {most} steps, but to {page.evaluate(HTML)}")
