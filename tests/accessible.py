"""What people cannot use on a page as axe-core finds it, and what the keyboard alone reaches."""

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Locator, Page, expect

# What WCAG asks for at the levels A and AA, and what else hinders people. Frames and files of styles are our own.
OPTIONS = {"resultTypes": ["violations"], "iframes": False, "preload": False, "selectors": False}
# Rules that can find nothing serious are left out. In the dark there is only colour to speak of: the rest is as it was
# in the light. Colours that fade would be taken half way. All of it is one question to the browser, which is dear.
ASK = """async options => {
    const hindering = ["serious", "critical"];
    const lesser = axe._audit.rules.filter(rule => !hindering.includes(rule.impact));
    const rules = Object.fromEntries(lesser.map(rule => [rule.id, {enabled: false}]));
    const root = document.documentElement;
    const turn = (dark, scheme) => {
        root.classList.toggle("dark", dark);
        root.style.colorScheme = scheme;  // for pages that go by it
        document.getAnimations().forEach(each => each.finish());
    };
    const violations = async chosen => (await axe.run({...options, ...chosen})).violations
        .filter(each => hindering.includes(each.impact))
        .flatMap(each => each.nodes.map(node => `${each.id}: ${node.html} ${node.failureSummary}`));

    const was = [root.classList.contains("dark"), root.style.colorScheme];
    turn(false, "light");
    const light = await violations({rules});
    turn(true, "dark");
    const dark = await violations({runOnly: ["color-contrast"]});
    turn(...was);
    return [...light, ...dark.map(each => `in the dark, ${each}`)];
}"""


def hindrances(page: Page) -> list[str]:
    """Return each serious or critical violation on the page as it stands, in the light and in the dark."""
    # The policy of the page is not asked: the browser evaluates for who drives it.
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(AXE_SCRIPT)
    told: list[str] = page.evaluate(ASK, OPTIONS)
    return told


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
