"use strict";

// Say what enrolling would do before anybody presses the button: the rules are asked whenever the box changes.
{
  const box = document.getElementById("enroll-box");
  const answer = document.getElementById("enroll-answer");
  const enroll = box.querySelector("button:not([name])");
  let newest = 0;

  const tell = (html) => {
    answer.innerHTML = html;
    enroll.disabled = answer.querySelector("[data-kind=refused], [data-kind=already]") !== null;
  };

  const ask = async () => {
    const asked = ++newest;
    if (!box.elements[box.dataset.other].value) {
      tell("");
      return;
    }
    const wish = new URLSearchParams(new FormData(box));
    wish.set("ask", "1");
    wish.set("fragment", "1");
    try {
      const told = await fetch(box.action, { method: "POST", body: wish, redirect: "error" });
      const html = told.ok ? await told.text() : "";
      if (asked !== newest) return; // the box has changed since
      tell(html);
      if (!told.ok) answer.textContent = box.dataset.failed;
    } catch {
      if (asked !== newest) return;
      tell("");
      answer.textContent = box.dataset.failed;
    }
  };

  box.querySelector("button[name=ask]").hidden = true;
  // The autocomplete tells of a change by jQuery alone; what others tell, jQuery hears too.
  django.jQuery(box).on("change", ask);
}
