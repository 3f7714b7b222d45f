"use strict";

// The print button needs this script. Without it, the user prints by the browser's menu.
{
  const button = document.getElementById("print");
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}
