// Light, dark, or what the system says; loaded before anything is painted, and no module, so that it never flashes.
(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");

  function chosen() {
    try {
      return localStorage.getItem("theme") ?? "system";
    } catch {
      return "system"; // a browser that keeps nothing
    }
  }

  function choose(choice) {
    try {
      localStorage.setItem("theme", choice);
    } catch {
      // it holds for this page
    }
    show(choice);
  }

  function show(choice) {
    const dark = choice === "dark" || (choice === "system" && system.matches);
    root.dataset.bsTheme = dark ? "dark" : "light";
    for (const button of document.querySelectorAll("[data-theme-choice]")) {
      button.setAttribute("aria-pressed", String(button.dataset.themeChoice === choice));
    }
    document.dispatchEvent(new CustomEvent("theme"));
  }

  root.classList.add("scripted");
  show(chosen());
  system.addEventListener("change", () => show(chosen()));
  addEventListener("storage", () => show(chosen()));
  document.addEventListener("DOMContentLoaded", () => show(chosen()));
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-theme-choice]");
    if (button) choose(button.dataset.themeChoice);
  });
})();
