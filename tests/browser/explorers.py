"""What a person does with an explorer, on a page or in a notebook, and what can be read from it."""

from __future__ import annotations

from typing import Any

ROOT = ".nm-root"
SETTLED = """(n) => {
  const d = document.querySelectorAll('.nm-root')[n]?.dataset;
  return d?.settled === 'true' && d.failed === 'false';
}"""


class Hand:
    """A hand on the explorer number `n` of a page.

    The page's policy forbids evaluated strings, so waiting goes by selectors and by polling.
    """

    def __init__(self, page: Any, n: int = 0) -> None:
        self.page, self.n = page, n
        self.root = page.locator(ROOT).nth(n)

    @property
    def data(self) -> dict[str, str]:
        return self.root.evaluate("node => ({...node.dataset})")

    def until(self, test: str, *, seconds: float = 20, argument: Any = None) -> Any:
        """Wait until a function of the root (and an argument) is true; returns its value."""
        for _ in range(int(seconds / 0.05)):
            found = self.root.evaluate(f"(node, a) => ({test})(node, a)", argument)
            if found:
                return found
            self.page.wait_for_timeout(50)
        raise AssertionError(f"waited {seconds} s in vain for {test}: {self.data}")

    def settle(self) -> dict[str, str]:
        self.until("node => node.dataset.settled === 'true' && node.dataset.failed === 'false'")
        return self.data

    def every(self) -> dict[str, str]:
        """Wait for all six schemes, shown or not."""
        self.until("node => node.dataset.measured.split(' ').length === 6", seconds=40)
        return self.settle()

    def picture(self, lane: str = "noisymix") -> str:
        """The bytes of a picture."""
        self.root.evaluate("() => new Promise((done) => requestAnimationFrame(done))")
        return self.root.locator(f"canvas[data-lane={lane}]").evaluate("c => c.toDataURL()")

    def slider(self, name: str) -> Any:
        return self.root.locator(f"input[type=range][data-name={name}]")

    def row(self, name: str) -> Any:
        """A slider with its words."""
        return self.root.locator(f".nm-slider:has([data-name={name}])")

    def set(self, name: str, value: float) -> None:
        """Move a slider with one event, as a drag does."""
        self.slider(name).evaluate(
            "(input, v) => { input.value = v; input.dispatchEvent(new Event('input')); }", value
        )

    def field(self, name: str, value: str) -> None:
        box = self.root.locator(f":not([type=range])[data-name={name}]")
        box.evaluate(
            "(box, v) => { box.value = v; box.dispatchEvent(new Event('change')); }", value
        )

    def press(self, action: str) -> None:
        self.root.locator(f"button[data-action='{action}']").evaluate("b => b.click()")

    def choose(self, value: str) -> None:
        """A scheme or a view, by its radio."""
        self.root.locator(f".nm-picker input[value={value}]").check(force=True)

    def layer(self, name: str, on: bool = True) -> None:
        box = self.root.locator(f"input[data-layer={name}]")
        box.evaluate("(box, on) => { if (box.checked !== on) box.click(); }", on)

    def open(self, summary: str) -> None:
        details = self.root.locator(
            "details", has=self.page.locator(f"summary:has-text('{summary}')")
        )
        details.first.evaluate("d => { d.open = true; }")

    @property
    def sentence(self) -> str:
        return self.root.locator(".nm-words-now").inner_text()

    @property
    def notice(self) -> str:
        return self.root.locator(".nm-notice").inner_text()

    def copied(self) -> str:
        return self.root.locator(".nm-copied").input_value()

    def grid(self, lane: str = "noisymix") -> list[int]:
        """The field of a scheme as the explorer holds it: 255 * P(class 1)."""
        return self.root.evaluate(
            "(node, lane) => Array.from(node.nmExplorer.frames[lane].grid)", lane
        )
