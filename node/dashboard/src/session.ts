import { signal } from '@preact/signals';

/**
 * The key of who looks at the page, where the node asks for one. It lives as long as the tab, in nothing
 * that another site or another tab can read, and travels in headers alone, never in an address.
 */
const NAME = 'skein.key';

export const key = signal<string | null>(sessionStorage.getItem(NAME));
/** Null while nobody has been asked for a key; else why. */
export const asked = signal<string | null>(null);

export function signIn(given: string): void {
  sessionStorage.setItem(NAME, given);
  key.value = given;
  asked.value = null;
}

export function signOut(): void {
  sessionStorage.removeItem(NAME);
  key.value = null;
}

/** A node that refuses the key, or the lack of one, is asked again with another. */
export function askForKey(): void {
  asked.value =
    key.value === null ? 'This node asks for a key.' : 'This node does not accept the key.';
}

/** What goes with each request. */
export function credentials(): Readonly<Record<string, string>> {
  return key.value === null ? {} : { authorization: `Bearer ${key.value}` };
}

/** A socket of a browser has no headers: its key is a protocol that is offered, and not chosen. */
export function protocols(): string[] {
  return key.value === null ? [] : ['skein', `skein.key.${key.value}`];
}
