"use strict";

// While an import is processed, fetch its progress every second. Reload the page when it has ended.
{
  const progress = document.getElementById("import-progress");

  const refresh = async () => {
    try {
      const response = await fetch(progress.dataset.url, { headers: { Accept: "text/html" } });
      if (response.ok) {
        progress.innerHTML = await response.text();
        if (progress.querySelector("[data-processing=no]")) {
          window.location.reload();
          return;
        }
      }
    } catch {
      // The server does not answer: try again at the next refresh.
    }
    window.setTimeout(refresh, 1000);
  };

  window.setTimeout(refresh, 1000);
}
