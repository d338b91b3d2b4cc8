import type { Settings, Theme } from "./settings";

interface Props {
  settings: Settings;
  onChange: (change: Partial<Settings>) => void;
}

type NumberKey = "temperature" | "topP" | "topK" | "minP" | "maxTokens";

const kNumbers: { key: NumberKey; label: string; min: number; max: number; step: number }[] = [
  { key: "temperature", label: "Temperature", min: 0, max: 2, step: 0.1 },
  { key: "topP", label: "Top p", min: 0, max: 1, step: 0.05 },
  { key: "topK", label: "Top k (0: all)", min: 0, max: 1000, step: 1 },
  { key: "minP", label: "Min p", min: 0, max: 1, step: 0.01 },
  { key: "maxTokens", label: "Longest answer (tokens)", min: 1, max: 1000000, step: 1 },
];

export function SettingsPanel({ settings, onChange }: Props) {
  return (
    <section id="settings" class="settings" aria-label="Settings">
      <label class="wide">System prompt
        <textarea rows={3} value={settings.system} onInput={(event) => onChange({ system: event.currentTarget.value })} />
      </label>
      {kNumbers.map(({ key, label, min, max, step }) => (
        <label key={key}>{label}
          <input type="number" min={min} max={max} step={step} value={settings[key]}
            onChange={(event) => {
              const value = event.currentTarget.valueAsNumber;
              if (value >= min && value <= max) onChange({ [key]: value });
            }} />
        </label>
      ))}
      <label>Seed (empty: random)
        <input inputMode="numeric" pattern="[0-9]*" value={settings.seed}
          onInput={(event) => onChange({ seed: event.currentTarget.value.replace(/\D/g, "") })} />
      </label>
      <label>Colours
        <select value={settings.theme} onChange={(event) => onChange({ theme: event.currentTarget.value as Theme })}>
          <option value="system">as the system</option>
          <option value="light">light</option>
          <option value="dark">dark</option>
        </select>
      </label>
      <label>API key
        <input type="password" autocomplete="off" value={settings.apiKey}
          onChange={(event) => onChange({ apiKey: event.currentTarget.value.trim() })} />
      </label>
    </section>
  );
}
