"use strict";

// The selection on a roster: select all rows of a page, count the selected rows, and copy their email addresses.
{
  const form = document.getElementById("chosen-form");
  const boxes = [...form.querySelectorAll("input[name=chosen]")];
  const all = form.querySelector("[data-all]");
  const count = form.querySelector(".page-chosen");
  const options = form.querySelector("[data-options]");
  const copy = form.querySelector("[data-copy]");

  const selectedCount = () => boxes.filter((box) => box.checked).length;
  const format = (text, number) => text.replace("{n}", number.toLocaleString(document.documentElement.lang));

  const update = () => {
    const number = selectedCount();
    count.textContent = number ? format(count.dataset.some, number) : count.dataset.none;
    all.checked = number === boxes.length;
    all.indeterminate = number > 0 && number < boxes.length;
    if (options) options.hidden = number === 0; // to leave the space to the list
    for (const button of form.querySelectorAll("[data-needs-chosen]")) button.disabled = number === 0;
    if (copy) {
      const text = number ? copy.dataset.ofSelected : copy.dataset.ofAll;
      copy.textContent = format(text, number || Number(copy.dataset.total));
    }
  };

  const copyAddresses = async () => {
    const message = form.querySelector("[data-message]");
    const textarea = form.querySelector("[data-addresses]");
    const number = selectedCount() || Number(copy.dataset.total);
    let addresses;
    try {
      const body = new URLSearchParams(new FormData(form));
      const response = await fetch(copy.formAction, { method: "POST", body, redirect: "error" });
      if (!response.ok) throw new Error(response.statusText);
      addresses = (await response.text()).split("\n").filter(Boolean);
    } catch {
      message.textContent = copy.dataset.failed;
      return;
    }
    const without = number - addresses.length;
    const text = addresses.join(", ");
    try {
      await navigator.clipboard.writeText(text);
      message.textContent = format(copy.dataset.copied, addresses.length);
      if (without) message.textContent += ` ${format(copy.dataset.without, without)}`;
    } catch {
      // The clipboard needs HTTPS and a permission. Without it, show the addresses, so that the user can copy them.
      textarea.hidden = false;
      textarea.value = text;
      textarea.select();
    }
  };

  if (all) {
    all.hidden = false;
    all.addEventListener("change", () => {
      for (const box of boxes) box.checked = all.checked;
      update();
    });
    form.addEventListener("change", update);
    update();
  }
  copy?.addEventListener("click", (event) => {
    event.preventDefault();
    copyAddresses();
  });
}
