import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { buildProgram } from '../../node/cli/program.ts';
import { SETTINGS } from '../../node/settings.ts';
import { readText, ROOT } from './markdown.ts';

/** Goal: `npm run help` names every command that there is. */
describe('npm run help', () => {
  let help: string;

  before(() => {
    const args = ['scripts/bootstrap.mjs', 'help'];
    help = execFileSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' });
  });

  it('has a line for each command of npm', () => {
    const { scripts } = JSON.parse(readText('package.json')) as {
      readonly scripts: Readonly<Record<string, string>>;
    };
    // What npm calls by itself before it packs is no command.
    for (const name of Object.keys(scripts).filter((each) => each !== 'prepack')) {
      expect(help, name).to.match(new RegExp(`^npm (run )?${name} {2,}\\S`, 'm'));
    }
  });

  it('names the commands of npx skein', () => {
    const deps = { version: '1.0.0', settings: SETTINGS, stdout: {}, stderr: {} };
    const program = buildProgram(deps as never, () => undefined);
    const names = program.commands.map((command) => command.name());
    const line = /^npx skein --help .*: (.*)$/m.exec(help)?.[1]?.split(', ');
    expect(line).to.have.members(names);
  });
});
