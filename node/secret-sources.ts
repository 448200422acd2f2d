import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { SecretsPort } from './worker/secrets.ts';

/**
 * Where a node has its secrets from: files in one folder, read each time, so that a new content counts at
 * once; and variables of its environment, of which only those are given that somebody has listed.
 */
export interface SecretSources {
  readonly dir: string | null;
  readonly env: readonly string[];
}

const NAME = /^\w[\w.-]{0,127}$/;
const BYTES_MAX = 64 * 1024;

export function secretsOf(
  { dir, env }: SecretSources,
  environment: Readonly<Record<string, string | undefined>>,
): SecretsPort {
  return {
    read: (name) => {
      // No slash and no leading dot: no name leads out of the folder.
      if (!NAME.test(name)) return undefined;
      return (
        (dir === null ? undefined : contentOf(path.join(dir, name))) ??
        (env.includes(name) ? environment[name] : undefined)
      );
    },
  };
}

function contentOf(file: string): string | undefined {
  try {
    const text = readFileSync(file, 'utf8');
    return text.length > BYTES_MAX ? undefined : text.replace(/\r?\n$/, '');
  } catch {
    // Another source may have it; who asks says that none does.
    return undefined;
  }
}
