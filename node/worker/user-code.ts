/**
 * What the modules of a handlers folder say of themselves, as data. They are users' code: no node ever
 * imports one. A process of its own puts them together into one file (handler-bundle.ts), imports that,
 * and reports this (handler-inspector.ts); afterwards only threads and processes of tasks import it.
 */
export interface UserCode {
  readonly bundle: Bundle;
  readonly types: ReadonlyMap<string, UserType>;
}

export interface UserType {
  readonly type: string;
  /** As its folder names it. */
  readonly file: string;
  readonly version: string | null;
  readonly isolation: 'thread' | 'process';
  /** For tasks that say none of their own. */
  readonly timeoutMs: number | null;
  readonly maxAttempts: number | null;
  readonly backoff: {
    readonly isFixed: boolean;
    readonly baseMs: number;
    readonly maxMs: number;
  } | null;
}

/** The file that holds all modules, and its text: what a folder for temporary files loses is put back. */
export interface Bundle {
  readonly path: string;
  readonly text: string;
}

/** One module of the bundle, which exports a list of them as `files`. */
export interface BundledFile {
  readonly file: string;
  readonly load: () => Promise<Readonly<Record<string, unknown>>>;
}

/** The type that a file stands for, unless what it exports names another. */
export function typeOfFile(file: string): string {
  return file.replace(/\.[^.]+$/, '');
}

/** Faults of a handlers folder, each a sentence that names the file. */
export class HandlersError extends Error {
  readonly faults: readonly string[];
  constructor(faults: readonly string[]) {
    super(faults.join('; '));
    this.name = 'HandlersError';
    this.faults = faults;
  }
}
