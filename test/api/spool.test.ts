import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { expect } from 'chai';
import { Spool } from '../../node/api/submit/spool.ts';

/** Goal: lines come back as they went in, from memory and from the file. */
describe('the spool of a body', () => {
  it('keeps a small body in memory', async () => {
    const spool = new Spool(1024);
    const offset = await spool.append(Buffer.from('abc'));
    expect(spool.read(offset, 3).toString()).to.equal('abc');
    expect(spool.isOnDisk).to.equal(false);
    await spool.close();
  });

  it('goes to a file beyond its bound, which nobody else sees, and reads in any order', async () => {
    const spool = new Spool(1000);
    const lines = Array.from({ length: 500 }, (_, i) => randomBytes(1 + ((i * 37) % 900)));
    const offsets: number[] = [];
    for (const line of lines) offsets.push(await spool.append(line));
    expect(spool.isOnDisk).to.equal(true);
    const left = (await readdir(tmpdir())).filter((name) => name.startsWith('skein-body-'));
    expect(left).to.deep.equal([]);
    for (let i = lines.length - 1; i >= 0; i--) {
      const line = lines[i] ?? Buffer.alloc(0);
      expect(spool.read(offsets[i] ?? 0, line.length).equals(line)).to.equal(true);
    }
    await spool.close();
  });
});
