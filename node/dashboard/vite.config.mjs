import { fileURLToPath } from 'node:url';

/** The page, bundled. Nothing is inlined, because the policy of the page allows no inline code. */
export const config = {
  configFile: false,
  root: fileURLToPath(new URL('.', import.meta.url)),
  base: './',
  logLevel: 'warn',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    emptyOutDir: true,
  },
};
