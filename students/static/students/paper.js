"use strict";

// Printing takes a script: without one there is the browser's own menu.
{
  const button = document.getElementById("print");
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}
