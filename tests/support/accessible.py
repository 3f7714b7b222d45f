"""Accessibility checks of a page: violations that axe-core finds, and keyboard navigation."""

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Locator, Page, expect

# The rules of WCAG levels A and AA and the best practices. Frames and style sheets are not loaded for the check.
OPTIONS = {"resultTypes": ["violations"], "iframes": False, "preload": False, "selectors": False}
# Rules without serious violations are disabled. Dark mode changes only colors, so only the contrast is checked again.
# Animations are finished first, so that colors are final. One call does all of it, as calls to the browser are slow.
RUN_AXE = """async options => {
    const blocking = ["serious", "critical"];
    const lesser = axe._audit.rules.filter(rule => !blocking.includes(rule.impact));
    const rules = Object.fromEntries(lesser.map(rule => [rule.id, {enabled: false}]));
    const root = document.documentElement;
    const turn = (dark, scheme) => {
        root.classList.toggle("dark", dark);
        root.style.colorScheme = scheme;  // for pages that use it
        document.getAnimations().forEach(each => each.finish());
    };
    const violations = async chosen => (await axe.run({...options, ...chosen})).violations
        .filter(each => blocking.includes(each.impact))
        .flatMap(each => each.nodes.map(node => `${each.id}: ${node.html} ${node.failureSummary}`));

    const was = [root.classList.contains("dark"), root.style.colorScheme];
    turn(false, "light");
    const light = await violations({rules});
    turn(true, "dark");
    const dark = await violations({runOnly: ["color-contrast"]});
    turn(...was);
    return [...light, ...dark.map(each => `in dark mode, ${each}`)];
}"""


def accessibility_violations(page: Page) -> list[str]:
    """Return each serious or critical violation on the current page, in light and in dark mode."""
    # The content security policy does not apply to scripts that Playwright evaluates.
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(AXE_SCRIPT)
    violations: list[str] = page.evaluate(RUN_AXE, OPTIONS)
    return violations


# True if the focused element has a visible focus indicator: an outline or a shadow.
FOCUS_IS_VISIBLE = """() => {
    const style = getComputedStyle(document.activeElement);
    const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
    return outlined || style.boxShadow !== "none" || document.activeElement === document.body;
}"""
HTML = "document.activeElement.outerHTML.slice(0, 200)"


def tab_to(page: Page, wanted: Locator, *, max_steps: int = 80) -> None:
    """Press Tab until the element has the focus; every focused element on the way must show the focus."""
    expect(wanted).to_be_visible()
    for _step in range(max_steps):
        if wanted.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
        assert page.evaluate(FOCUS_IS_VISIBLE), page.evaluate(HTML)
    raise AssertionError(
        f"The element is not reached by Tab in {max_steps} steps; the focus is on {page.evaluate(HTML)}"
    )
