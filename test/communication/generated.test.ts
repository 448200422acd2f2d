// Goal: the committed types of the proto are those that the proto makes.
// Method: generate them into a scratch folder and compare file by file.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';

describe('the generated types of the proto', () => {
  it('are fresh (else run node scripts/generate-proto.mjs)', () => {
    const root = fileURLToPath(new URL('../..', import.meta.url));
    const scratch = mkdtempSync(path.join(tmpdir(), 'skein-proto-'));
    try {
      const script = path.join(root, 'scripts/generate-proto.mjs');
      const { status, stderr } = spawnSync(process.execPath, [script, scratch]);
      expect(status, String(stderr)).to.equal(0);
      expect(contents(path.join(root, 'node/rpc/generated'))).to.deep.equal(contents(scratch));
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  });
});

function contents(folder: string): Readonly<Record<string, string>> {
  const files = readdirSync(folder, { recursive: true })
    .map(String)
    .filter((file) => statSync(path.join(folder, file)).isFile())
    .sort();
  return Object.fromEntries(
    files.map((file) => [file, readFileSync(path.join(folder, file), 'utf8')]),
  );
}
