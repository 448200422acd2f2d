/** Who may do what. Roles are a ladder: each may do what those below it may. */
export const ROLES = ['read', 'submit', 'operate', 'admin'] as const;
export type Role = (typeof ROLES)[number];

/** What a call asks for: a role, or nothing (`open`), not even a key. */
export type Needed = Role | 'open';

/** Whoever makes a call, as far as a node has found out. */
export interface Caller {
  /** For people: the name of the key. */
  readonly name: string;
  readonly role: Role;
  /** The one that it sees; null for all of them. */
  readonly namespaceId: number | null;
  /** Null where no key was asked for. */
  readonly keyId: string | null;
}

/** Where no key is needed: whoever reaches a loopback address is on this machine already. */
export const LOCAL_CALLER: Caller = {
  name: 'local',
  role: 'admin',
  namespaceId: null,
  keyId: null,
};

export function mayDo(role: Role, needed: Needed): boolean {
  return needed === 'open' || ROLES.indexOf(role) >= ROLES.indexOf(needed);
}
