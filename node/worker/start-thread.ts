import { Worker, type WorkerOptions } from 'node:worker_threads';

/**
 * A thread that runs a module of ours. Where that is TypeScript, because the process runs from its sources,
 * the loader is registered in the thread first: a thread inherits none.
 */
export function startThread(module: URL, options: WorkerOptions): Worker {
  if (!module.pathname.endsWith('.ts')) return new Worker(module, options);
  const loader = import.meta.resolve('tsx/esm/api');
  const text = [
    `import(${JSON.stringify(loader)}).then(({ register }) => {`,
    `  register();`,
    `  return import(${JSON.stringify(module.href)});`,
    `});`,
  ];
  return new Worker(text.join('\n'), { ...options, eval: true });
}
