import { expect } from 'chai';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { systemClock } from '../../node/base/clock.ts';
import { clusterFiles } from '../../node/cluster-files.ts';
import { dialLeader } from '../../node/rpc/leader-link.ts';
import { PeerServer } from '../../node/rpc/peer-server.ts';
import type { PeerSecurity } from '../../node/rpc/peer-security.ts';
import { HELLO } from './setup.ts';

/**
 * Goal: a node without a certificate of the cluster, or without its secret, is refused and logged; one with
 * them is not, also after its certificate was replaced.
 * Method: real streams between a server and dials with each kind of files, made by the commands themselves.
 */
describe('streams between nodes', () => {
  let folder: string;
  const servers: PeerServer[] = [];
  const warnings: string[] = [];
  const log = {
    debug: () => undefined,
    info: () => undefined,
    warn: (message: string) => warnings.push(message),
    error: () => undefined,
  };

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'skein-mtls-'));
    await clusterFiles.init(path.join(folder, 'one'), 30);
    await clusterFiles.init(path.join(folder, 'foreign'), 30);
    const token = await clusterFiles.token(path.join(folder, 'one'), 30);
    await clusterFiles.join(path.join(folder, 'two'), token);
  });
  beforeEach(() => warnings.splice(0));
  afterEach(async () => {
    await Promise.all(servers.splice(0).map((server) => server.stop(100)));
  });
  after(() => rm(folder, { recursive: true }));

  const files = (name: string): PeerSecurity => ({
    clusterDir: path.join(folder, name),
    secret: null,
  });
  const listen = async (security: PeerSecurity): Promise<string> => {
    const accept = (): { refused: string } => ({ refused: 'it was understood' });
    const server = new PeerServer({ ...{ host: '127.0.0.1', port: 0, log, accept }, security });
    servers.push(server);
    return `127.0.0.1:${String((await server.start()).port)}`;
  };
  /** Why the link ended: the server refuses whoever it understands. */
  const dial = (address: string, security?: PeerSecurity): Promise<string> =>
    new Promise((resolve) => {
      dialLeader({
        ...{ address, hello: HELLO, connectTimeoutMs: 5000, clock: systemClock, log },
        onMessage: () => undefined,
        onClosed: resolve,
        ...(security === undefined ? {} : { security }),
      });
    });

  it('take a node whose certificate the cluster has signed', async () => {
    const address = await listen(files('one'));
    expect(await dial(address, files('two'))).to.include('it was understood');
    expect(warnings).to.deep.equal([]);
  });

  it('refuse a node of another cluster, and one without TLS, and say so', async () => {
    const address = await listen(files('one'));
    expect(await dial(address, files('foreign'))).not.to.include('it was understood');
    expect(await dial(address)).not.to.include('it was understood');
    expect(warnings.length).to.be.greaterThan(0);
    expect(new Set(warnings)).to.deep.equal(
      new Set(['a peer without a certificate of this cluster was refused']),
    );
  });

  it('leave a leader that is no node of the cluster', async () => {
    const address = await listen(files('foreign'));
    expect(await dial(address, files('two'))).not.to.include('it was understood');
  });

  it('take up a certificate that was replaced at the next dial', async () => {
    const address = await listen(files('one'));
    const place = path.join(folder, 'two', 'node.pem');
    const before = new X509Certificate(await readFile(place)).serialNumber;
    await clusterFiles.join(
      path.join(folder, 'two'),
      await clusterFiles.token(path.join(folder, 'one'), 5),
    );
    expect(new X509Certificate(await readFile(place)).serialNumber).not.to.equal(before);
    expect(await dial(address, files('two'))).to.include('it was understood');
  });

  it('ask for the secret where there is one', async () => {
    const secret = 'a secret of sixteen or more';
    const address = await listen({ clusterDir: null, secret });
    expect(await dial(address, { clusterDir: null, secret })).to.include('it was understood');
    for (const other of [null, `${secret}.`]) {
      expect(await dial(address, { clusterDir: null, secret: other })).to.include(
        'UNAUTHENTICATED',
      );
    }
    expect(warnings).to.have.length(2);
  });

  it('have certificates that are whole, and an authority that is not made twice', async () => {
    const read = async (name: string): Promise<X509Certificate> =>
      new X509Certificate(await readFile(path.join(folder, 'one', name)));
    const [ca, node] = [await read('ca.pem'), await read('node.pem')];
    expect(ca.ca).to.equal(true);
    expect(node.ca).to.equal(false);
    expect(node.checkIssued(ca)).to.equal(true);
    expect(node.verify(ca.publicKey)).to.equal(true);
    expect(node.checkHost('skein-node')).to.equal('skein-node');
    const again = await clusterFiles.init(path.join(folder, 'one'), 30).catch(String);
    expect(again).to.include('is there already');
    expect(await clusterFiles.join(path.join(folder, 'x'), 'nonsense').catch(String)).to.include(
      'no token',
    );
  });
});
