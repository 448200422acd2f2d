import { expect } from 'chai';
import path from 'node:path';
import { ConfigError, advertisedBy, parseConfig } from '../node/config.ts';
import { LAN, WAN } from '../node/core/timings.ts';
import { SETTINGS } from '../node/settings.ts';

function faultsFor(env: Record<string, string>, flags: Record<string, unknown>): readonly string[] {
  try {
    parseConfig({ env, flags });
  } catch (error) {
    if (error instanceof ConfigError) return error.faults;
    throw error;
  }
  return [];
}

describe('parseConfig', () => {
  it('needs nothing: every setting has a default', () => {
    const config = parseConfig({ env: {}, flags: {}, isTerminal: false });
    expect(config).to.deep.include({
      databaseUrl: null,
      dataDir: path.resolve('.skein'),
      httpHost: '127.0.0.1',
      httpPort: 0,
      slots: 3,
      simulate: false,
      httpAllow: [],
      allowShell: false,
      logFormat: 'json',
      drainMs: 25_000,
      retention: { ageMs: 7 * 24 * 3_600_000, bytesMax: 0 },
      timings: LAN,
    });
    expect(config.name).to.match(new RegExp(`-${String(process.pid)}$`));
  });

  it('lets flags win over the environment, and the environment over defaults', () => {
    const env = { SKEIN_SLOTS: '5', SKEIN_HTTP_PORT: '8080', SKEIN_SIMULATE: 'true' };
    const config = parseConfig({ env, flags: { slots: '7', simulate: undefined } });
    expect(config).to.include({ slots: 7, httpPort: 8080, simulate: true });
  });

  it('takes an empty variable for one that is not set', () => {
    expect(parseConfig({ env: { SKEIN_SLOTS: '', DATABASE_URL: '' }, flags: {} })).to.include({
      slots: 3,
      databaseUrl: null,
    });
  });

  it('prefers SKEIN_DATABASE_URL to DATABASE_URL', () => {
    const env = { DATABASE_URL: 'postgres://other/x', SKEIN_DATABASE_URL: 'postgres://mine/x' };
    expect(parseConfig({ env, flags: {} }).databaseUrl).to.equal('postgres://mine/x');
  });

  it('means the embedded database by --data-dir, whatever DATABASE_URL says', () => {
    const env = { DATABASE_URL: 'postgres://other/x' };
    expect(parseConfig({ env, flags: { dataDir: 'here' } }).databaseUrl).to.equal(null);
    const both = { dataDir: 'here', databaseUrl: 'postgres://mine/x' };
    expect(parseConfig({ env, flags: both }).databaseUrl).to.equal('postgres://mine/x');
  });

  it('names every fault at once, by the flag or the variable it came from', () => {
    const faults = faultsFor(
      { SKEIN_HTTP_PORT: '70000', DATABASE_URL: 'mysql://x', SKEIN_LOG_LEVEL: 'loud' },
      { slots: '2.5', name: 'a b', nonsense: 1 },
    );
    const origins = faults.map((fault) => fault.split(':')[0]);
    expect(origins.toSorted()).to.deep.equal(
      [
        '--name',
        '--slots',
        'DATABASE_URL',
        'SKEIN_HTTP_PORT',
        'SKEIN_LOG_LEVEL',
        'nonsense',
      ].toSorted(),
    );
  });

  it('keeps the proportions of a profile when the lease is changed', () => {
    expect(parseConfig({ env: {}, flags: { timings: 'wan' } }).timings).to.equal(WAN);
    const { timings } = parseConfig({ env: {}, flags: { leaseMs: 5000 } });
    expect(timings).to.deep.equal({ ...LAN, leaseMs: 5000, abortMs: 3500, killMs: 4500 });
  });

  it('refuses to be reached from other machines without TLS, and says how', () => {
    for (const httpHost of ['0.0.0.0', '::', '10.1.2.3', 'skein.example']) {
      const [fault] = faultsFor({}, { httpHost });
      expect(fault, httpHost).to.match(
        /^--http-host: .*--tls-cert.*--behind-tls-proxy.*keys create/,
      );
    }
    expect(faultsFor({ SKEIN_HTTP_HOST: '0.0.0.0' }, { tlsCert: 'c.pem' })).to.deep.equal([
      '--tls-cert and --tls-key: the one needs the other',
    ]);
  });

  it('asks for keys wherever another machine or a proxy may call, and not on loopback', () => {
    const needs = (flags: Record<string, unknown>): boolean =>
      parseConfig({ env: {}, flags }).exposure.needsKeys;
    for (const httpHost of ['127.0.0.1', '127.0.0.2', '::1', 'localhost']) {
      expect(needs({ httpHost }), httpHost).to.equal(false);
    }
    const tls = { tlsCert: 'c.pem', tlsKey: 'k.pem' };
    expect(needs({ httpHost: '0.0.0.0', ...tls })).to.equal(true);
    expect(needs({ behindTlsProxy: true })).to.equal(true);
    expect(needs({ requireKeys: true })).to.equal(true);
    expect(needs({ httpHost: '0.0.0.0', insecure: true })).to.equal(false);
  });

  it('refuses labels that are none, and a key that is named twice', () => {
    const [fault] = faultsFor({ SKEIN_LABELS: 'gpu=a b' }, {});
    expect(fault).to.match(/^SKEIN_LABELS: must be KEY=VALUE/);
    expect(faultsFor({}, { labels: 'gpu=1,gpu=2' })).to.deep.equal([
      '--labels: must name each key once',
    ]);
  });

  it('refuses timings under which two nodes could run one task', () => {
    expect(faultsFor({ SKEIN_LEASE_MS: '2000' }, {})).to.deep.equal([
      'SKEIN_LEASE_MS: must be at least 5000 (lan)',
    ]);
    expect(faultsFor({}, { timings: 'wan', leaseMs: '19999' })).to.deep.equal([
      '--lease-ms: must be at least 20000 (wan)',
    ]);
  });

  it('names what means nothing in a list of what http tasks may reach', () => {
    expect(faultsFor({ SKEIN_HTTP_ALLOW: '10.0.0.0/8,10.0.0.0/99,http://a' }, {})).to.deep.equal([
      'SKEIN_HTTP_ALLOW: 10.0.0.0/99 is no host, address or CIDR range',
      'SKEIN_HTTP_ALLOW: http://a is no host, address or CIDR range',
    ]);
  });

  it('reads every setting of the table from its variable', () => {
    const values: Record<string, string> = {
      databaseUrl: 'postgres://u@h/d',
      dataDir: '/d',
      name: 'n',
      httpHost: '::',
      httpPort: '1',
      grpcHost: '0.0.0.0',
      grpcPort: '2',
      clusterDir: '/cluster',
      peerSecret: 'sixteen or more of it',
      advertiseHttpUrl: 'https://a.example/',
      advertiseGrpcAddress: 'a.example:3',
      slots: '4',
      tlsCert: '/c.pem',
      tlsKey: '/k.pem',
      behindTlsProxy: 'off',
      insecure: 'off',
      requireKeys: 'on',
      allowedHosts: 'Skein.example, 10.0.0.7',
      rateLimit: '100',
      secretsDir: '/secrets',
      secretEnv: 'API_TOKEN, OTHER',
      simulate: 'on',
      httpAllow: '10.0.0.0/8, ::1,inner.example',
      allowShell: 'yes',
      labels: 'zone=eu, gpu=a100,ssd',
      handlers: 'mine',
      handlerMemoryMb: '64',
      logLevel: 'debug',
      logFormat: 'pretty',
      timings: 'wan',
      leaseMs: '50000',
      retentionDays: '0.5',
      retentionGb: '20',
      auditDays: '30',
      drainMs: '6',
    };
    const env = Object.fromEntries(SETTINGS.map((s) => [s.env[0] ?? '', values[s.key]]));
    expect(parseConfig({ env, flags: {} })).to.deep.equal({
      ...{ databaseUrl: 'postgres://u@h/d', dataDir: '/d', name: 'n', httpHost: '::', httpPort: 1 },
      ...{ grpcHost: '0.0.0.0', grpcPort: 2, advertiseHttpUrl: 'https://a.example' },
      ...{ advertiseGrpcAddress: 'a.example:3', slots: 4, simulate: true, logLevel: 'debug' },
      ...{ logFormat: 'pretty', drainMs: 6, allowShell: true },
      retention: { ageMs: 12 * 3_600_000, bytesMax: 20e9 },
      httpAllow: ['10.0.0.0/8', '::1', 'inner.example'],
      labels: ['gpu=a100', 'ssd=true', 'zone=eu'],
      ...{ handlersDir: path.resolve('mine'), handlerMemoryMb: 64 },
      exposure: {
        ...{ tls: { certFile: '/c.pem', keyFile: '/k.pem' }, needsKeys: true },
        ...{ isBehindProxy: false, isInsecure: false, rateLimit: 100 },
        allowedHosts: ['skein.example', '10.0.0.7'],
      },
      auditDays: 30,
      peers: { clusterDir: '/cluster', secret: 'sixteen or more of it' },
      secrets: { dir: '/secrets', env: ['API_TOKEN', 'OTHER'] },
      timings: { ...WAN, leaseMs: 50_000, abortMs: 35_000, killMs: 45_000 },
    });
  });
});

describe('the streams between nodes', () => {
  it('are not served to other machines without certificates, unless somebody says so', () => {
    const fault = faultsFor({}, { grpcHost: '0.0.0.0' }).join();
    expect(fault).to.include('--cluster-dir');
    const insecure = parseConfig({ env: {}, flags: { grpcHost: '0.0.0.0', insecure: true } });
    expect(insecure.peers).to.deep.equal({ clusterDir: null, secret: null });
    expect(faultsFor({}, { peerSecret: 'short' }).join()).to.include('16 characters');
  });
});

describe('advertisedBy', () => {
  const listening = { httpPort: 8080, grpcPort: 9090 };

  it('tells the address it listens on, with the port it got', () => {
    const config = parseConfig({ env: {}, flags: { grpcHost: '::1' } });
    expect(advertisedBy(config, listening)).to.deep.equal({
      httpUrl: 'http://127.0.0.1:8080',
      grpcAddress: '[::1]:9090',
    });
  });

  it('never tells an address that means everywhere', () => {
    const config = parseConfig({
      env: {},
      flags: { httpHost: '0.0.0.0', grpcHost: '::', behindTlsProxy: true, clusterDir: '/c' },
    });
    const { httpUrl, grpcAddress } = advertisedBy(config, listening);
    expect(httpUrl).not.to.include('0.0.0.0');
    expect(grpcAddress).not.to.include('::');
  });
});
