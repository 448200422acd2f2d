import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { createSecureContext } from 'node:tls';
import type { SecureContextOptions } from 'node:tls';

/**
 * How nodes know each other. With a folder of the cluster every stream is TLS 1.3, and both ends show a
 * certificate that the cluster's own authority has signed; all nodes share one name in it, because a node
 * is known by the database and not by where it is. Without one, on loopback, a secret that both have may
 * stand for it. The files are read anew for each connection that a node opens, and once a minute for those
 * that it accepts: a certificate is replaced without a restart.
 */
export interface PeerSecurity {
  /** Holds `ca.pem`, `node.pem` and `node-key.pem`; null: plain streams. */
  readonly clusterDir: string | null;
  readonly secret: string | null;
}

export const OPEN: PeerSecurity = { clusterDir: null, secret: null };

/** What every node's certificate is made out to. */
export const NODE_NAME = 'skein-node';
export const SECRET_HEADER = 'skein-secret';

export const CLUSTER_FILES = {
  authority: 'ca.pem',
  authorityKey: 'ca-key.pem',
  certificate: 'node.pem',
  key: 'node-key.pem',
} as const;

export interface ClusterFiles {
  readonly ca: Buffer;
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** Throws where a file is missing, or they do not belong together. */
export function readClusterFiles(folder: string): ClusterFiles {
  const read = (name: string): Buffer => readFileSync(path.join(folder, name));
  const files = {
    ca: read(CLUSTER_FILES.authority),
    cert: read(CLUSTER_FILES.certificate),
    key: read(CLUSTER_FILES.key),
  };
  createSecureContext(contextOf(files));
  return files;
}

export function contextOf({ ca, cert, key }: ClusterFiles): SecureContextOptions {
  return { ca, cert, key, minVersion: 'TLSv1.3' };
}

/** In constant time, whatever was given. */
export function isSameSecret(given: string, secret: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(secret));
}
