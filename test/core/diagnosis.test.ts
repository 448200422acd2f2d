import { expect } from 'chai';
import {
  diagnoseCertificate,
  diagnoseDatabase,
  diagnoseDisk,
  diagnoseNode,
} from '../../node/core/diagnosis.ts';
import type { DatabaseFacts } from '../../node/core/diagnosis.ts';

/** Goal: each fact leads to its finding. Method: a table over a database that is all well. */
const WELL: DatabaseFacts = {
  versionNumber: 180_004,
  version: '18.4',
  encoding: 'UTF8',
  isStandby: false,
  role: { name: 'skein', isSuperuser: false, canCreateSchema: false, connectionLimit: -1 },
  schema: { exists: true, canUse: true, canCreate: true, lacking: [], foreign: [] },
  settings: { fsync: 'on', autovacuum: 'on' },
  connections: { max: 100, reserved: 3, used: 10, limit: -1 },
  clock: { skewMs: 1, roundTripMs: 1 },
  nodes: [{ name: 'node-1', version: '1.0.0' }],
};

const CASES: readonly [string, Partial<DatabaseFacts>, string, string][] = [
  ['a server that is too old', { versionNumber: 150_018 }, 'postgresql', 'fail'],
  ['a standby', { isStandby: true }, 'primary', 'fail'],
  ['a read-only role', { settings: { default_transaction_read_only: 'on' } }, 'primary', 'fail'],
  ['another encoding', { encoding: 'LATIN1' }, 'encoding', 'fail'],
  ['no durability', { settings: { fsync: 'off' } }, 'durability', 'fail'],
  ['no statistics', { settings: { track_counts: 'off' } }, 'autovacuum', 'fail'],
  ['a short lock_timeout', { settings: { lock_timeout: '100' } }, 'lock_timeout', 'warn'],
  [
    'no connection left',
    { connections: { max: 100, reserved: 3, used: 97, limit: -1 } },
    'connections',
    'fail',
  ],
  [
    'a limit of the database',
    { connections: { max: 100, reserved: 3, used: 1, limit: 10 } },
    'connections',
    'warn',
  ],
  ['a clock that is off', { clock: { skewMs: -5000, roundTripMs: 1 } }, 'clock', 'warn'],
  ['a clock that is far off', { clock: { skewMs: 100_000, roundTripMs: 1 } }, 'clock', 'fail'],
  ['a long way', { clock: { skewMs: 0, roundTripMs: 80 } }, 'clock', 'warn'],
  ['mixed releases', { nodes: [{ name: 'a', version: '0.9.0' }] }, 'nodes', 'warn'],
];

describe('the diagnosis', () => {
  it('finds nothing where all is well', () => {
    const findings = diagnoseDatabase(WELL, '1.0.0');
    expect(findings.filter(({ status }) => status !== 'ok')).to.deep.equal([]);
  });

  for (const [name, facts, check, status] of CASES) {
    it(`finds ${name}, and nothing else`, () => {
      const findings = diagnoseDatabase({ ...WELL, ...facts }, '1.0.0').filter(
        (finding) => finding.status !== 'ok',
      );
      expect(findings.map((finding) => [finding.check, finding.status])).to.deep.equal([
        [check, status],
      ]);
      expect(findings[0]?.advice).to.be.a('string');
    });
  }

  it('judges Node.js, disks and certificates', () => {
    expect(diagnoseNode('20.18.1').status).to.equal('fail');
    expect(diagnoseNode('20.19.0').status).to.equal('ok');
    expect(diagnoseNode('24.1.0').status).to.equal('ok');
    expect(
      [50, 500, 5000].map((mib) => diagnoseDisk('x', '/', mib * 2 ** 20).status),
    ).to.deep.equal(['fail', 'warn', 'ok']);
    const day = 86_400_000;
    const valid = { fromMs: day, toMs: 100 * day };
    const at = (days: number): string => diagnoseCertificate('x', valid, days * day).status;
    expect([0, 50, 90, 100].map(at)).to.deep.equal(['fail', 'ok', 'warn', 'fail']);
  });
});
