export type Theme = "system" | "light" | "dark";

export interface Settings {
  model: string;
  system: string;
  temperature: number;
  topP: number;
  topK: number;
  minP: number;
  maxTokens: number;
  seed: string; // empty: another one each time
  apiKey: string;
  theme: Theme;
}

export const kDefaults: Settings = {
  model: "", system: "", temperature: 0.7, topP: 0.95, topK: 40, minP: 0, maxTokens: 1024, seed: "", apiKey: "",
  theme: "system",
};

const kKey = "callie.settings";

export function loadSettings(): Settings {
  try {
    return { ...kDefaults, ...JSON.parse(localStorage.getItem(kKey) ?? "{}") };
  } catch {
    return { ...kDefaults };
  }
}

export function saveSettings(settings: Settings): void {
  try {
    localStorage.setItem(kKey, JSON.stringify(settings));
  } catch {
    // No storage: the settings last as long as the page.
  }
}

export function applyTheme(theme: Theme): void {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}
