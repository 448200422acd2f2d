import { expect } from 'chai';
import { ConfigError } from '../../node/config.ts';
import { HELP, parseStartOptions } from '../../scripts/start-options.ts';

describe('the flags of npm start', () => {
  it('asks for three simulating nodes on 8080 and 9090 by default', () => {
    const { nodes, json, verbose, node } = parseStartOptions([], {});
    expect({ nodes, json, verbose }).to.deep.equal({ nodes: 3, json: false, verbose: false });
    expect(node).to.include({ httpPort: 8080, grpcPort: 9090, slots: 3, simulate: true });
    expect(node.databaseUrl).to.equal(null);
  });

  it('lets flags win over variables, and variables over its own defaults', () => {
    const env = { SKEIN_HTTP_PORT: '7000', SKEIN_GRPC_PORT: '', SKEIN_SLOTS: '5' };
    const { node } = parseStartOptions(['--slots', '6', '--no-simulate'], env);
    expect(node).to.include({ httpPort: 7000, grpcPort: 9090, slots: 6, simulate: false });
  });

  it('names every fault at once', () => {
    const parse = (): unknown => parseStartOptions(['--nodes', '0', '--http-port', 'x'], {});
    expect(parse)
      .to.throw(ConfigError)
      .with.property('faults')
      .that.deep.equals([
        '--nodes: must be a whole number from 1 to 100',
        '--http-port: must be a whole number',
      ]);
  });

  it('refuses a flag that it does not know', () => {
    expect(() => parseStartOptions(['--node', '3'], {})).to.throw(ConfigError, /--node/);
  });

  it('explains each of its flags', () => {
    for (const flag of ['--nodes', '--data-dir', '--database-url', '--json', '--no-simulate']) {
      expect(HELP).to.include(flag);
    }
  });
});
