"use strict";

// Highlight the drop zone while a file is dragged over it, and select the kind that the name of the file says.
{
  const zone = document.querySelector(".import-drop");
  const input = zone.querySelector("input[type=file]");

  for (const type of ["dragenter", "dragover"]) {
    zone.addEventListener(type, () => zone.classList.add("over"));
  }
  for (const type of ["dragleave", "drop"]) {
    zone.addEventListener(type, () => zone.classList.remove("over"));
  }

  input.addEventListener("change", () => {
    const name = input.files[0]?.name.toLowerCase() ?? "";
    zone.classList.toggle("filled", name !== "");
    for (const kind of document.querySelectorAll("input[name=kind]")) {
      if (name.startsWith(kind.value) || name.endsWith(`.${kind.value}`)) {
        kind.checked = true;
      }
    }
  });
}
