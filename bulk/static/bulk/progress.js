"use strict";

// Follow an import that is at work: its state is fetched every second, and the whole page once it is over.
{
  const live = document.getElementById("import-live");

  const look = async () => {
    try {
      const answer = await fetch(live.dataset.address, { headers: { Accept: "text/html" } });
      if (answer.ok) {
        live.innerHTML = await answer.text();
        if (live.querySelector("[data-at-work=no]")) {
          window.location.reload();
          return;
        }
      }
    } catch {
      // The server is away for a moment: the next look may find it back.
    }
    window.setTimeout(look, 1000);
  };

  window.setTimeout(look, 1000);
}
