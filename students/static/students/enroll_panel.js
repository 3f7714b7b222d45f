"use strict";

// Preview the result of an enrollment: the rules are evaluated on the server whenever the form changes.
{
  const form = document.getElementById("enroll-box");
  const result = document.getElementById("enroll-answer");
  const enroll = form.querySelector("button:not([name])");
  let latest = 0;

  const show = (html) => {
    result.innerHTML = html;
    enroll.disabled = result.querySelector("[data-kind=refused], [data-kind=already]") !== null;
  };

  const preview = async () => {
    const current = ++latest;
    if (!form.elements[form.dataset.other].value) {
      show("");
      return;
    }
    const body = new URLSearchParams(new FormData(form));
    body.set("ask", "1");
    body.set("fragment", "1");
    try {
      const response = await fetch(form.action, { method: "POST", body, redirect: "error" });
      const html = response.ok ? await response.text() : "";
      if (current !== latest) return; // the form has changed since
      show(html);
      if (!response.ok) result.textContent = form.dataset.failed;
    } catch {
      if (current !== latest) return;
      show("");
      result.textContent = form.dataset.failed;
    }
  };

  form.querySelector("button[name=ask]").hidden = true;
  // The autocomplete widget triggers its change event by jQuery only; jQuery also receives native events.
  django.jQuery(form).on("change", preview);
}
