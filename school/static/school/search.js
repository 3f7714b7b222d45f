"use strict";

// Enter in the search opens the selected result: the first one, unless the user selected another. If the results of the
// text are still to come, Enter opens the first of them when they are there; without results it does nothing.
{
  let isWaiting = false;

  const isSearch = (event) => event.target.id === "search-input-command";

  const currentResults = () => {
    const results = document.querySelector("ul#command-results-list");
    const text = document.getElementById("search-input-command").value.trim();
    return results?.dataset.words === text ? results : null;
  };

  addEventListener(
    "keydown",
    (event) => {
      if (!isSearch(event) || event.key !== "Enter") return;
      if (currentResults()?.querySelector("li.active")) return; // the theme opens it
      event.preventDefault();
      event.stopImmediatePropagation();
      isWaiting = !currentResults();
    },
    true,
  );
  addEventListener("input", (event) => {
    if (isSearch(event)) isWaiting = false;
  });
  addEventListener("htmx:afterSwap", (event) => {
    const first = currentResults()?.querySelector("a");
    if (event.target.id === "command-results" && isWaiting && first) location.assign(first.href);
  });
}
