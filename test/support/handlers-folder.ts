import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

export interface HandlersFolder {
  readonly path: string;
  remove(): Promise<void>;
}

/** Modules as users write them, in a folder that has nothing to do with this checkout. */
export async function handlersFolder(
  files: Readonly<Record<string, string>>,
): Promise<HandlersFolder> {
  const folder = await mkdtemp(path.join(tmpdir(), 'skein-user-'));
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(folder, name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, text);
  }
  return { path: folder, remove: () => rm(folder, { recursive: true, force: true }) };
}
