import { pathToFileURL } from 'node:url';
import { toHandlerModule, type HandlerModule } from './handler-module.ts';
import type { BundledFile } from './user-code.ts';

async function filesOf(bundle: string): Promise<readonly BundledFile[]> {
  const { files } = (await import(pathToFileURL(bundle).href)) as {
    readonly files: readonly BundledFile[];
  };
  return files;
}

/** All handlers of a bundle by type; each module is imported once. */
export async function importHandlers(bundle: string): Promise<ReadonlyMap<string, HandlerModule>> {
  const byType = new Map<string, HandlerModule>();
  for (const { file, load } of await filesOf(bundle)) {
    const module = toHandlerModule(file, await load());
    byType.set(module.type, module);
  }
  return byType;
}

/** One handler, and of the others only what must be looked into to find it. */
export async function importHandler(
  bundle: string,
  type: string,
): Promise<HandlerModule | undefined> {
  const files = await filesOf(bundle);
  const isNamed = ({ file }: BundledFile): boolean => file.startsWith(`${type}.`);
  for (const { file, load } of files.toSorted((a, b) => Number(isNamed(b)) - Number(isNamed(a)))) {
    const module = toHandlerModule(file, await load());
    if (module.type === type) return module;
  }
  return undefined;
}
