"use strict";

// Who is chosen on a roster: all of a page at once, how many, and their addresses to the clipboard.
{
  const form = document.getElementById("chosen-form");
  const boxes = [...form.querySelectorAll("input[name=chosen]")];
  const all = form.querySelector("[data-all]");
  const count = form.querySelector(".page-chosen");
  const asked = form.querySelector("[data-asked]");
  const copy = form.querySelector("[data-copy]");

  const chosen = () => boxes.filter((box) => box.checked).length;
  const filled = (text, number) => text.replace("{n}", number.toLocaleString(document.documentElement.lang));

  const show = () => {
    const number = chosen();
    count.textContent = number ? filled(count.dataset.some, number) : count.dataset.none;
    all.checked = number === boxes.length;
    all.indeterminate = number > 0 && number < boxes.length;
    if (asked) asked.hidden = number === 0; // the list has the room
    for (const button of form.querySelectorAll("[data-needs-chosen]")) button.disabled = number === 0;
    if (copy) {
      const text = number ? copy.dataset.ofChosen : copy.dataset.ofAll;
      copy.textContent = filled(text, number || Number(copy.dataset.total));
    }
  };

  const copyAddresses = async () => {
    const told = form.querySelector("[data-told]");
    const shown = form.querySelector("[data-addresses]");
    const number = chosen() || Number(copy.dataset.total);
    let addresses;
    try {
      const wish = new URLSearchParams(new FormData(form));
      const answer = await fetch(copy.formAction, { method: "POST", body: wish, redirect: "error" });
      if (!answer.ok) throw new Error(answer.statusText);
      addresses = (await answer.text()).split("\n").filter(Boolean);
    } catch {
      told.textContent = copy.dataset.failed;
      return;
    }
    const without = number - addresses.length;
    const text = addresses.join(", ");
    try {
      await navigator.clipboard.writeText(text);
      told.textContent = filled(copy.dataset.copied, addresses.length);
      if (without) told.textContent += ` ${filled(copy.dataset.without, without)}`;
    } catch {
      // No clipboard without HTTPS, or it is not allowed: then they are there to be copied by hand.
      shown.hidden = false;
      shown.value = text;
      shown.select();
    }
  };

  if (all) {
    all.hidden = false;
    all.addEventListener("change", () => {
      for (const box of boxes) box.checked = all.checked;
      show();
    });
    form.addEventListener("change", show);
    show();
  }
  copy?.addEventListener("click", (event) => {
    event.preventDefault();
    copyAddresses();
  });
}
