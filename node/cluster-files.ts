import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import { issueAuthority, issueNode } from './base/x509.ts';
import type { Valid } from './base/x509.ts';
import type { ClusterFilesPort } from './cli/ports.ts';
import { CLUSTER_FILES, NODE_NAME, readClusterFiles } from './rpc/peer-security.ts';

/**
 * The folder that `--cluster-dir` names. `init` makes an authority and the files of one node; a token is
 * the files of another, as one text. What it does not promise: that a token is used once, or can be taken
 * back. It is the identity of a node for as long as its certificate is valid; a cluster that has lost one
 * makes a new authority, and its nodes take up their new files without a restart.
 */
const DAY_MS = 24 * 3_600_000;
const AUTHORITY_DAYS = 3650;
/** Clocks that are behind still find a new certificate valid. */
const SLACK_MS = 3_600_000;
const AUTHORITY_NAME = 'skein cluster';
const TOKEN = /^skein-join\.([A-Za-z0-9_-]+)$/;

export const clusterFiles: ClusterFilesPort = {
  init: async (folder, days) => {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const place = path.join(folder, CLUSTER_FILES.authority);
    const authority = issueAuthority(AUTHORITY_NAME, validFor(AUTHORITY_DAYS));
    await writeFile(place, authority.certificate, { flag: 'wx' }).catch((thrown: unknown) => {
      if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST') throw thrown;
      throw new Error(
        `${place} is there already: another authority would shut out the nodes of this one`,
      );
    });
    await writeSecret(path.join(folder, CLUSTER_FILES.authorityKey), authority.key);
    await writeNode(folder, await issue(folder, days));
  },
  token: async (folder, days) => {
    const text = JSON.stringify(await issue(folder, days));
    return `skein-join.${Buffer.from(text).toString('base64url')}`;
  },
  join: async (folder, token) => {
    const files = parsed(token);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await writeFile(path.join(folder, CLUSTER_FILES.authority), files.ca);
    await writeNode(folder, files);
    readClusterFiles(folder);
  },
};

interface NodeFiles {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

async function issue(folder: string, days: number): Promise<NodeFiles> {
  const read = async (name: string): Promise<string> => readFile(path.join(folder, name), 'utf8');
  const ca = await read(CLUSTER_FILES.authority);
  const key = createPrivateKey(await read(CLUSTER_FILES.authorityKey));
  const { publicKey } = new X509Certificate(ca);
  const names = [NODE_NAME, hostname()];
  const made = issueNode(NODE_NAME, names, validFor(days), {
    ...{
      certificate: ca,
      key,
      name: AUTHORITY_NAME,
      publicKey: createPublicKey(publicKey.export({ type: 'spki', format: 'pem' })),
    },
  });
  return { ca, cert: made.certificate, key: made.key };
}

function parsed(token: string): NodeFiles {
  const [, text] = TOKEN.exec(token.trim()) ?? [];
  if (text === undefined) throw new Error('this is no token of `skein join-token`');
  const { ca, cert, key } = JSON.parse(Buffer.from(text, 'base64url').toString()) as NodeFiles;
  if (![ca, cert, key].every((each) => typeof each === 'string'))
    throw new Error('this token is not whole');
  return { ca, cert, key };
}

/**
 * The key first: a node that reads in between finds two that do not belong together, and keeps its old ones.
 */
async function writeNode(folder: string, { cert, key }: NodeFiles): Promise<void> {
  await writeSecret(path.join(folder, CLUSTER_FILES.key), key);
  await writeFile(path.join(folder, CLUSTER_FILES.certificate), cert);
}

async function writeSecret(file: string, text: string): Promise<void> {
  await writeFile(`${file}.new`, text, { mode: 0o600 });
  await chmod(`${file}.new`, 0o600);
  await rename(`${file}.new`, file);
}

function validFor(days: number): Valid {
  const nowMs = Date.now();
  return { fromMs: nowMs - SLACK_MS, toMs: nowMs + days * DAY_MS };
}
