import { expect } from 'chai';
import { newKeyOrThrow } from '../../../node/api/access/keys.ts';
import { KeyStore } from '../../../node/store/key-store.ts';
import { startApi } from '../../api/support.ts';
import type { Api } from '../../api/support.ts';
import { maybeStage } from '../../dashboard/browser.ts';
import type { Stage } from '../../dashboard/browser.ts';

/**
 * Goal: where a node asks for keys, the page asks its reader for one, and sends it where it belongs alone.
 * Method: the built page, a node's REST face that needs keys, a chromium.
 */
describe('the page of a node that asks for keys', function () {
  this.timeout(60_000);
  let stage: Stage;
  let api: Api;

  before(async function () {
    const found = await maybeStage();
    if (found === undefined) this.skip();
    stage = found;
    api = await startApi({ pageDir: stage.pageDir, door: { needsKeys: true } });
  });
  after(async () => {
    // Undefined where there is no browser, whatever the types say: `before` has skipped then.
    await (api as Api | undefined)?.close();
    await (stage as Stage | undefined)?.close();
  });

  it('asks for one, says when it is wrong, and is live with a right one', async () => {
    const { key, text } = newKeyOrThrow({ role: 'read', namespace: '*' }, 'a test');
    expect(await new KeyStore(api.database).tryCreate(key)).not.to.equal(null);
    const page = await stage.browser.newPage();
    page.setDefaultTimeout(20_000);
    const addresses: string[] = [];
    page.on('request', (request) => addresses.push(request.url()));
    await page.goto(`${api.url}/#/tasks`);
    await page.getByText('This node asks for a key.').waitFor();
    await page.getByLabel('Key', { exact: true }).fill(`skein_${'x'.repeat(40)}`);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByText('This node does not accept the key.').waitFor();
    await page.getByLabel('Key', { exact: true }).fill(text);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.locator('.line.live').waitFor();
    await page.getByText('No task fits.').waitFor();
    expect(addresses.concat(page.url()).filter((each) => each.includes(text))).to.deep.equal([]);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByText('This node asks for a key.').waitFor();
    await page.close();
  });
});
