// [data-copy]: its text goes to the clipboard. [data-selects]: is selected when it gets the focus.
import { announce } from "./announcing.js";

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  say(button, (await copied(button.dataset.copy)) ? "Copied" : "Press Ctrl+C");
});

document.addEventListener("focusin", (event) => {
  if (event.target.matches("[data-selects]")) event.target.select();
});

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // no secure context, or not allowed
  }
}

function say(button, word) {
  announce(word);
  const place = button.querySelector("[data-said]");
  const before = place?.textContent;
  if (place) place.textContent = word;
  button.classList.add("copied");
  setTimeout(() => {
    if (place) place.textContent = before;
    button.classList.remove("copied");
  }, 1500);
}
