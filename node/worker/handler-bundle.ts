import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { builtinModules } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { build, type BuildFailure, type Loader, type Plugin } from 'esbuild';
import { toError } from '../base/errors.ts';
import { HandlersError, type Bundle } from './user-code.ts';

/**
 * The modules of a handlers folder as one file that Node can import as it is: TypeScript becomes
 * JavaScript, files of the user's own are put together, packages stay where they are and are named by
 * their place. It is done once for each start of a node, in a process of its own.
 *
 * Why not a loader hook, as tsx registers: on Node 20 each thread would pay for hooks in a thread of
 * their own (100 ms and 20 MiB for each that replaces a killed one), and `skein` would still have to be
 * found from a folder that has no such package. Here it is a name like the others, with a place.
 */
const ENDINGS = ['.ts', '.mts', '.cts', '.js', '.mjs', '.cjs'];

/** The handlers of a folder, by name; files that begin with a dot or an underscore are helpers. */
export async function findHandlerFiles(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((thrown: unknown) => {
    throw new HandlersError([`${folder}: ${toError(thrown).message}`]);
  });
  const files = entries
    .filter((entry) => !entry.isDirectory() && !/^[._]/.test(entry.name))
    .map(({ name }) => name)
    .filter((name) => ENDINGS.includes(path.extname(name)) && !/\.(d|test)\.[cm]?ts$/.test(name));
  if (files.length === 0) throw new HandlersError([`${folder}: there is no handler in it`]);
  return files.toSorted();
}

/** Throws a `HandlersError` that names every fault of the sources. */
export async function bundleHandlers(
  folder: string,
  files: readonly string[],
  cacheFolder: string,
  api: URL,
): Promise<Bundle> {
  const loads = files.map((file) => {
    const name = JSON.stringify(file);
    return `  { file: ${name}, load: () => import(${JSON.stringify(path.join(folder, file))}) },`;
  });
  try {
    const { outputFiles } = await build({
      stdin: { contents: `export const files = [\n${loads.join('\n')}\n];\n`, resolveDir: folder },
      ...{ bundle: true, write: false, format: 'esm', platform: 'node', target: 'node20' },
      ...{ keepNames: true, sourcemap: 'inline', sourcesContent: false, logLevel: 'silent' },
      outfile: path.join(cacheFolder, 'handlers.mjs'),
      banner: { js: requireFrom(folder) },
      define: OWN_PLACES,
      conditions: [],
      plugins: [ownPlaces, packagesStay(api)],
    });
    const text = outputFiles[0]?.text ?? '';
    const hash = createHash('sha256').update(text).digest('hex').slice(0, 32);
    return { path: path.join(cacheFolder, `handlers-${hash}.mjs`), text };
  } catch (thrown) {
    throw new HandlersError(faultsOf(thrown, folder));
  }
}

function faultsOf(thrown: unknown, folder: string): readonly string[] {
  const { errors } = thrown as Partial<BuildFailure>;
  if (!Array.isArray(errors)) return [`the handlers cannot be put together: ${String(thrown)}`];
  return errors.map(({ text, location }: BuildFailure['errors'][number]) => {
    if (location === null) return text;
    const file = path.relative(folder, path.resolve(location.file));
    return `${file}:${String(location.line)}:${String(location.column + 1)}: ${text}`;
  });
}

/** CommonJS modules of the folder find their packages by the `require` of an ES module. */
function requireFrom(folder: string): string {
  const place = JSON.stringify(path.join(folder, 'handlers.cjs'));
  const imported = `import { createRequire as skeinRequire } from 'node:module';`;
  return `${imported}const require = skeinRequire(${place});`;
}

/** What a module knows of its own place, as it would know it outside the bundle. */
const OWN_PLACES = {
  'import.meta.url': 'skeinModuleUrl',
  'import.meta.filename': 'skeinModuleFile',
  'import.meta.dirname': 'skeinModuleFolder',
  __filename: 'skeinModuleFile',
  __dirname: 'skeinModuleFolder',
};

const ownPlaces: Plugin = {
  name: 'own-places',
  setup: (builder) => {
    builder.onLoad({ filter: /\.[cm]?[jt]sx?$/, namespace: 'file' }, async ({ path: file }) => {
      const contents = await readFile(file, 'utf8');
      if (!/\bimport\.meta\b|\b__(dir|file)name\b/.test(contents)) return undefined;
      const places = [
        `skeinModuleUrl = ${JSON.stringify(pathToFileURL(file).href)}`,
        `skeinModuleFile = ${JSON.stringify(file)}`,
        `skeinModuleFolder = ${JSON.stringify(path.dirname(file))}`,
      ];
      const loader = path.extname(file).slice(1).replace(/^[cm]/, '') as Loader;
      // On the same line, so that the lines keep their numbers.
      return { contents: `const ${places.join(', ')};${contents}`, loader };
    });
  },
};

/** Every module of Node has a name of its own; `node:` needs no list. */
const OF_NODE = new Set(builtinModules);

function packagesStay(api: URL): Plugin {
  return {
    name: 'packages-stay',
    setup: (builder) => {
      // `require` cannot load an ES module on every Node: what stands for it imports ours and hands it on.
      builder.onLoad({ filter: /.*/, namespace: 'skein-api' }, ({ path: href }) => ({
        contents: `export * from ${JSON.stringify(href)};`,
        loader: 'js',
      }));
      builder.onResolve({ filter: /^[^./]/ }, async (asked) => {
        const { path: name, kind, importer, resolveDir } = asked;
        if (kind === 'entry-point' || asked.pluginData === LOOKED_UP) return undefined;
        const isRequired = kind === 'require-call' || kind === 'require-resolve';
        if (name === 'skein') {
          return isRequired
            ? { path: api.href, namespace: 'skein-api' }
            : { path: api.href, external: true };
        }
        if (name.includes(':') || OF_NODE.has(name)) return { path: name, external: true };
        const pluginData: unknown = LOOKED_UP;
        const found = await builder.resolve(name, { kind, importer, resolveDir, pluginData });
        const isPackage = found.path.split(path.sep).includes('node_modules');
        if (found.errors.length > 0 || !isPackage || found.path.endsWith('.json')) return found;
        return { path: isRequired ? found.path : pathToFileURL(found.path).href, external: true };
      });
    },
  };
}

const LOOKED_UP = Symbol('looked up');
