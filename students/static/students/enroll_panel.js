"use strict";

// Preview the result of an enrollment: the server evaluates the rules while the form is filled in, and the button names
// the result. A click or Enter enrolls if the result is the one that the button names; otherwise it shows the result.
{
  const DELAY = 250; // milliseconds after the last key
  const form = document.getElementById("enroll-box");
  const answer = document.getElementById("enroll-answer");
  const button = form.querySelector("button[name=on_full]");
  const note = answer.innerHTML;
  let timer;
  let asked = ""; // the input of the latest request
  let pending = Promise.resolve();
  let isConfirmed = false;

  const input = () => new URLSearchParams(new FormData(form)).toString();
  const isComplete = () => form.dataset.required.split(" ").every((name) => form.elements[name].value);

  const isRefused = () => button.getAttribute("aria-disabled") === "true";

  const show = (html) => {
    answer.removeAttribute("aria-busy");
    answer.innerHTML = html;
    const result = answer.querySelector("[data-kind]")?.dataset ?? {};
    button.textContent = result.button ?? button.dataset.label;
    button.value = result.onFull ?? "reject";
    button.setAttribute("aria-disabled", ["refused", "already"].includes(result.kind));
    if ("mayWaive" in result) form.querySelector("details").open = true;
  };

  const ask = async (sent) => {
    let html = "";
    try {
      const body = new URLSearchParams(sent);
      body.set("ask", "1");
      body.set("fragment", "1");
      const response = await fetch(form.action, { method: "POST", body, redirect: "error" });
      if (response.ok) html = await response.text();
    } catch {
      // shown below
    }
    if (sent !== asked) return; // the form has changed since
    show(html);
    if (!html) answer.textContent = form.dataset.failed;
  };

  const preview = () => {
    clearTimeout(timer);
    const current = input();
    if (current === asked) return pending;
    asked = current;
    if (!isComplete()) {
      show(note);
      return (pending = Promise.resolve());
    }
    answer.setAttribute("aria-busy", "true");
    return (pending = ask(current));
  };

  const enroll = async () => {
    const named = button.value;
    await preview();
    if (isRefused() || button.value !== named) return;
    isConfirmed = true;
    form.requestSubmit(button);
  };

  form.querySelector("button[name=ask]").hidden = true;
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(preview, DELAY);
  });
  // The autocomplete widget triggers its change event by jQuery only; jQuery also receives native events.
  django.jQuery(form).on("change", "select, [type=checkbox]", preview);
  form.addEventListener("submit", (event) => {
    const isCurrent = input() === asked && !answer.hasAttribute("aria-busy");
    if (isConfirmed || (isCurrent && !isRefused())) return;
    event.preventDefault();
    if (!isCurrent) enroll();
  });
  // On a page of its own, the panel has the focus in its first empty field, as soon as the autocomplete widget exists.
  if ("focus" in form.dataset) {
    django.jQuery(() => {
      const empty = form.dataset.required.split(" ").find((name) => !form.elements[name].value);
      if (empty) form.querySelector(`[name=${empty}] + .select2-container .select2-selection`)?.focus();
    });
  }
  if (answer.querySelector("[data-kind]")) {
    asked = input();
    show(answer.innerHTML);
  } else if (isComplete()) preview();
}
