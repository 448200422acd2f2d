import { expect } from 'chai';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import ts from 'typescript';
import type { NewWorkflow } from '../../node/client/bodies.ts';
import { clientOf, PATIENCE_MS, untilWorkflowEnds } from '../cluster/setup.ts';
import { startCluster } from '../support/cluster.ts';
import { handlersFolder } from '../support/handlers-folder.ts';
import { blocksOf, readText, ROOT } from './markdown.ts';

/**
 * Goal: what the page about handlers shows is what a reader gets. Method: its modules are written into a
 * folder, judged by the compiler as it says, and run; its workflow ends with the result that it shows.
 */
const BLOCKS = blocksOf(readText('deploy/handlers.md'));
const MODULES = Object.fromEntries(
  BLOCKS.filter(({ info }) => info[1]?.startsWith('handlers/') === true).map(({ info, lines }) => [
    path.basename(info[1] ?? ''),
    lines.join('\n'),
  ]),
);
const json = (...info: readonly string[]): unknown => {
  const shown = BLOCKS.find((block) => block.info.join(' ') === ['json', ...info].join(' '));
  return JSON.parse(shown?.lines.join('\n') ?? 'null');
};

describe('the page about handlers', function () {
  this.timeout(PATIENCE_MS);

  it('shows modules that run, and the result of its workflow', async () => {
    expect(Object.keys(MODULES)).to.have.length.above(1);
    const folder = await handlersFolder(MODULES);
    const cluster = await startCluster({ nodes: 1, extraFlags: ['--handlers', folder.path] });
    try {
      const client = clientOf(cluster);
      const workflow = json('workflow') as NewWorkflow;
      await client.submitWorkflow({ ...workflow, id: 'shown' });
      expect(await untilWorkflowEnds(client, 'shown')).to.equal('COMPLETED');
      const { result } = await client.getTask('shown/page');
      expect(result).to.deep.equal(json('result', 'of', 'page'));
      const pictures = path.join(folder.path, 'pictures');
      await mkdir(pictures);
      for (const name of ['goose', 'skein', 'wing']) await writeFile(path.join(pictures, name), '');
      await client.submitTask({ id: 'album', type: 'album', payload: { folder: pictures } });
      const album = await client.getTask('album', { waitMs: PATIENCE_MS / 2 });
      expect(album.result).to.deep.equal({ page: 'album/page' });
      const page = await client.getTask('album/page', { waitMs: PATIENCE_MS / 2 });
      expect(Object.values((page.result as { files: object }).files)).to.have.deep.members(
        ['goose', 'skein', 'wing'].map((name) => ({ file: `${name}-64.png` })),
      );
    } finally {
      await cluster.stop();
      await folder.remove();
    }
  });

  it('shows TypeScript that a strict compiler takes, with the types of `skein`', async () => {
    const folder = await handlersFolder(MODULES);
    const program = ts.createProgram({
      rootNames: ['thumbnail.ts', 'album.ts'].map((name) => path.join(folder.path, name)),
      options: {
        ...{ strict: true, noEmit: true, skipLibCheck: true, exactOptionalPropertyTypes: true },
        target: ts.ScriptTarget.ES2023,
        module: ts.ModuleKind.NodeNext,
        moduleResolution: ts.ModuleResolutionKind.NodeNext,
        typeRoots: [path.join(ROOT, 'node_modules/@types')],
        types: ['node'],
        paths: { skein: [path.join(ROOT, 'node/core/handler.ts')] },
      },
    });
    const faults = ts.getPreEmitDiagnostics(program).map(({ messageText }) => messageText);
    await folder.remove();
    expect(faults).to.deep.equal([]);
  });
});
