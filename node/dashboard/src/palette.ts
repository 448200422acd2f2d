/** The colours of the style sheet, for what is painted on a canvas. */
export function colours(): (name: string) => string {
  const style = getComputedStyle(document.documentElement);
  const known = new Map<string, string>();
  return (name) => {
    let value = known.get(name);
    if (value === undefined) {
      value = style.getPropertyValue(`--${name}`).trim();
      known.set(name, value);
    }
    return value;
  };
}

/** None near the red of what has failed. */
const HUES = [212, 268, 172, 44, 302, 138, 192, 236, 84, 322, 62, 252];

/** Types of tasks keep their colour: the hue comes from the name, and the name stands beside it. */
export function hueOf(name: string): number {
  let hash = 2166136261;
  for (let at = 0; at < name.length; at++) {
    hash = Math.imul(hash ^ name.charCodeAt(at), 16777619);
  }
  return HUES[(hash >>> 0) % HUES.length] ?? 0;
}

export function isDark(): boolean {
  return matchMedia('(prefers-color-scheme: dark)').matches;
}

/** A fill on which the text colour of the page can be read. */
export function typeFill(type: string): string {
  return isDark() ? `hsl(${String(hueOf(type))} 38% 30%)` : `hsl(${String(hueOf(type))} 62% 84%)`;
}

export function typeEdge(type: string): string {
  return isDark() ? `hsl(${String(hueOf(type))} 52% 58%)` : `hsl(${String(hueOf(type))} 48% 46%)`;
}
