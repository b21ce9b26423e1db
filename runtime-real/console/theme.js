// Light or dark: the system's wish, until somebody says otherwise.

const KEY = "mneme-theme";
const wish = matchMedia("(prefers-color-scheme: dark)");

const chosen = () => localStorage.getItem(KEY);
export const isDark = () => (chosen() ?? (wish.matches ? "dark" : "light")) === "dark";

export function apply() {
  document.documentElement.dataset.theme = isDark() ? "dark" : "light";
}

export function toggle() {
  localStorage.setItem(KEY, isDark() ? "light" : "dark");
  apply();
}

wish.addEventListener("change", apply);
