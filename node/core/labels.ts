/**
 * Labels say what a node has and what a task needs: names with values, as in Kubernetes' nodeSelector. A
 * task runs on the nodes that have every label of its own with the very value. Inside they are texts of
 * the form `key=value`, sorted, each key once, so that two equal sets are equal texts.
 */
export type Labels = Readonly<Record<string, string | number | boolean>>;

export const LABELS_MAX = 16;
export const LABEL_KEY = /^[A-Za-z0-9](?:[\w./-]{0,62})$/;
export const LABEL_VALUE = /^[\w.:/-]{0,63}$/;

export function labelTexts(labels: Labels): readonly string[] {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${String(value)}`)
    .sort();
}

export function labelRecord(texts: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    texts.map((text) => {
      const at = text.indexOf('=');
      return [text.slice(0, at), text.slice(at + 1)];
    }),
  );
}
