"use strict";

// Select2 and Django's filter of long lists leave their fields without a name that a screen reader could tell, and the
// theme has names of columns as they stand within a sentence.
{
  const labelOf = (id) => document.querySelector(`label[for="${CSS.escape(id)}"]`);

  const name = () => {
    for (const box of document.querySelectorAll("select + .select2-container:not([data-named])")) {
      const field = box.previousElementSibling.id;
      const label = labelOf(field);
      if (!label) continue;
      box.dataset.named = "";
      label.id ||= `${field}-label`;
      const shown = box.querySelector("[role=textbox]");
      shown?.setAttribute("aria-labelledby", label.id);
      // Read out with what is chosen.
      box.querySelector("[role=combobox]").setAttribute("aria-labelledby", shown ? `${label.id} ${shown.id}` : label.id);
      box.querySelector("[role=searchbox]")?.setAttribute("aria-labelledby", label.id);
    }
    for (const list of document.querySelectorAll(".select2-results__options[id]")) {
      const label = labelOf(list.id.replace(/^select2-(.*)-results$/, "$1"));
      if (!label) continue;
      list.setAttribute("aria-labelledby", label.id);
      list.closest(".select2-dropdown").querySelector("[role=searchbox]")?.setAttribute("aria-labelledby", label.id);
    }
    // Names of columns beside the values of a row, where a list is narrow.
    for (const cell of document.querySelectorAll("[data-label]")) {
      const label = cell.dataset.label.trim();
      const capital = label.charAt(0).toLocaleUpperCase() + label.slice(1);
      if (capital !== cell.dataset.label) cell.dataset.label = capital;
    }
    for (const tip of document.querySelectorAll(".help-tooltip[aria-label]:not([role])")) tip.setAttribute("role", "img");
  };

  // They are made by scripts, some of them later: when a row is added, or a list opens.
  document.addEventListener("DOMContentLoaded", () => {
    name();
    new MutationObserver(name).observe(document.body, { childList: true, subtree: true });
  });
}
