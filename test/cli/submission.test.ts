import { expect } from 'chai';
import { InputError } from '../../node/cli/input-error.ts';
import { readSubmission } from '../../node/cli/submission.ts';
import type { Submission, SubmissionOptions } from '../../node/cli/submission.ts';
import { bytesOf } from './support.ts';

/** Goal: a file is taken for what it is, and a fault in it is found by its line. Method: small files. */
async function read(
  text: string | readonly (string | Uint8Array)[],
  options: SubmissionOptions = {},
  name = 'stdin',
): Promise<Submission | { readonly kind: 'lines'; readonly all: readonly string[] }> {
  const chunks = bytesOf(typeof text === 'string' ? [text] : text);
  const submission = await readSubmission({ name, chunks }, options);
  if (submission.kind !== 'lines') return submission;
  const all: string[] = [];
  for await (const line of submission.lines) all.push(line);
  return { kind: 'lines', all };
}

async function faultOf(
  text: string | readonly Uint8Array[],
  options?: SubmissionOptions,
): Promise<string> {
  try {
    await read(text, options, 'f.json');
  } catch (error) {
    if (error instanceof InputError) return error.message;
    throw error;
  }
  return 'none';
}

describe('readSubmission', () => {
  const a = '{"id":"a","type":"noop"}';
  const b = '{"id":"b","type":"noop"}';

  it('tells a task, a batch and a workflow by their shape', async () => {
    expect(await read(a)).to.deep.equal({ kind: 'task', task: { id: 'a', type: 'noop' } });
    expect(await read(`\ufeff\n {\n"type":\r\n"noop" }\n\n`)).to.deep.equal({
      kind: 'task',
      task: { type: 'noop' },
    });
    expect(await read(`[${a},\n${b}]`)).to.have.property('kind', 'batch');
    expect(await read(`{"tasks":[${a}]}`)).to.have.property('kind', 'workflow');
  });

  it('tells lines by a second object, or by the name of the file', async () => {
    expect(await read(`${a}\n\n${b}\r\n`)).to.deep.equal({ kind: 'lines', all: [a, `${b}\r`] });
    expect(await read(a, {}, 'x.ndjson')).to.deep.equal({ kind: 'lines', all: [a] });
    expect(await read(`${a}\n`, {}, 'x.JSONL')).to.have.property('kind', 'lines');
  });

  it('reads characters and lines that are cut anywhere', async () => {
    const bytes = Buffer.from(`{"type":"größe"}\n${a}\n${b}`);
    const pieces = [...bytes].map((byte) => Uint8Array.of(byte));
    expect(await read(pieces)).to.deep.equal({ kind: 'lines', all: ['{"type":"größe"}', a, b] });
  });

  it('lets the flags win over the file', async () => {
    const given = { id: 'x', priority: 7 };
    expect(await read(a, given)).to.deep.equal({
      kind: 'task',
      task: { id: 'x', type: 'noop', priority: 7 },
    });
    const named = { ...given, name: 'n' };
    expect(await read(`{"id":"w","tasks":[]}`, named)).to.deep.equal({
      kind: 'workflow',
      workflow: { ...named, tasks: [] },
    });
  });

  it('makes a workflow of a list that is given an id or a name', async () => {
    expect(await read(`[${a}]`, { name: 'n' })).to.deep.equal({
      kind: 'workflow',
      workflow: { name: 'n', tasks: [{ id: 'a', type: 'noop' }] },
    });
  });

  it('gives a list its priority, but for the tasks that have one', async () => {
    const list = '[{"type":"x","priority":1},{"type":"y"}]';
    expect(await read(list, { priority: 9 })).to.deep.equal({
      kind: 'batch',
      tasks: [
        { type: 'x', priority: 1 },
        { type: 'y', priority: 9 },
      ],
    });
  });

  it('refuses flags that the content cannot take', async () => {
    expect(await faultOf(a, { name: 'n' })).to.equal('--name: not possible for a single task');
    expect(await faultOf(a, { timeScale: 2, type: 't' })).to.equal(
      '--time-scale, --type: not possible for a file that is not in WfFormat',
    );
    expect(await faultOf(`${a}\n${b}`, { id: 'x', priority: 1 })).to.equal(
      '--id, --priority: not possible for a file of lines (NDJSON)',
    );
  });

  it('says where it stops being JSON', async () => {
    const second = await faultOf('{"type":\n  "x" "y"}');
    expect(second).to.match(/^f\.json: is not JSON: .* at line 2, column 7$/);
    expect(await faultOf('[1,\n  2,,\n]')).to.match(
      /^f\.json: is not JSON: Unexpected token ','.*2,,/,
    );
    expect(await faultOf('{"type":')).to.match(
      /^f\.json: is not JSON: Unexpected end of JSON input$/,
    );
  });

  it('says what else it cannot be', async () => {
    expect(await faultOf('')).to.equal('f.json: is empty');
    expect(await faultOf(' \n\n')).to.equal('f.json: is empty');
    expect(await faultOf('42')).to.equal(
      'f.json: must hold a task, a list of tasks, or a workflow',
    );
    expect(await faultOf([Uint8Array.of(0x7b, 0xff, 0x7d)])).to.equal(
      'f.json: is not text in UTF-8',
    );
    expect(await faultOf('{"schemaVersion":"1.2","workflow":{}}')).to.match(
      /^f\.json: WfFormat 1\.2/,
    );
  });
});
