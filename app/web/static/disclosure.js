// [data-toggles="id"] unfolds that element, as the navigation on a phone; Escape folds it again.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-toggles]");
  if (button) unfold(button, button.getAttribute("aria-expanded") !== "true");
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const button of document.querySelectorAll('[data-toggles][aria-expanded="true"]')) {
    unfold(button, false);
    button.focus();
  }
});

function unfold(button, open) {
  button.setAttribute("aria-expanded", String(open));
  document.getElementById(button.dataset.toggles).classList.toggle("unfolded", open);
}
