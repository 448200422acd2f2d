import { pathToFileURL } from 'node:url';
import { openBundleFolder, putBundle } from './bundle-file.ts';
import { bundleHandlers, findHandlerFiles } from './handler-bundle.ts';
import { toHandlerModule } from './handler-module.ts';
import { messageOf } from './outcome.ts';
import { toError } from '../base/errors.ts';
import { HandlersError, type BundledFile, type UserType } from './user-code.ts';

/** What the process that looks at a handlers folder says to the node that started it. */
export type FromInspector =
  /** From now on a silence, or an end, is that of this file. */
  | { readonly kind: 'loading'; readonly file: string }
  | { readonly kind: 'faults'; readonly faults: readonly string[] }
  | {
      readonly kind: 'code';
      readonly path: string;
      readonly text: string;
      readonly types: readonly UserType[];
    };

/** Where handlers find `skein`: what they share with the code that runs them, in each thread once. */
const API = new URL(import.meta.url.replace(/worker\/[^/]+\.(ts|js)$/, 'core/handler.$1'));

/** Runs inside a process of its own, as it imports users' code; all faults are reported together. */
export async function inspectHandlers(
  folder: string,
  builtIn: readonly string[],
  tell: (message: FromInspector) => void,
): Promise<void> {
  try {
    const files = await findHandlerFiles(folder);
    const bundle = await bundleHandlers(folder, files, openBundleFolder(), API);
    putBundle(bundle);
    const { files: bundled } = (await import(pathToFileURL(bundle.path).href)) as {
      readonly files: readonly BundledFile[];
    };
    const types: UserType[] = [];
    const faults: string[] = [];
    for (const { file, load } of bundled) {
      tell({ kind: 'loading', file });
      try {
        const { about } = toHandlerModule(file, await load());
        const { type } = about;
        const other = types.find((one) => one.type === type);
        if (builtIn.includes(type)) faults.push(`${file}: the type ${type} is built in`);
        else if (other !== undefined) {
          faults.push(`${file}: the type ${type} is that of ${other.file} already`);
        } else types.push(about);
      } catch (thrown) {
        faults.push(`${file}: ${messageOf(toError(thrown))}`);
      }
    }
    if (faults.length > 0) throw new HandlersError(faults);
    tell({ kind: 'code', ...bundle, types });
  } catch (thrown) {
    const isKnown = thrown instanceof HandlersError;
    tell({ kind: 'faults', faults: isKnown ? thrown.faults : [messageOf(toError(thrown))] });
  }
}
