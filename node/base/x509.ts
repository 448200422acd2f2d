import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';

/**
 * Certificates of X.509 version 3, as far as a cluster needs them: an authority of its own, and nodes that it
 * signs. Node.js reads certificates and makes none; this writes the few structures of DER that they are made
 * of. Keys are of the curve P-256, signatures ECDSA with SHA-256.
 */
export interface Issued {
  /** PEM. */
  readonly certificate: string;
  readonly key: string;
}

export interface Authority {
  /** PEM. */
  readonly certificate: string;
  readonly key: KeyObject;
}

export interface Valid {
  readonly fromMs: number;
  readonly toMs: number;
}

const OID = {
  commonName: '550403',
  ecdsaWithSha256: '2a8648ce3d040302',
  basicConstraints: '551d13',
  keyUsage: '551d0f',
  extendedKeyUsage: '551d25',
  subjectAltName: '551d11',
  subjectKeyId: '551d0e',
  authorityKeyId: '551d23',
  serverAuth: '2b06010505070301',
  clientAuth: '2b06010505070302',
} as const;

export function issueAuthority(name: string, valid: Valid): Issued {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const keyId = keyIdOf(publicKey);
  const extensions = [
    extension(OID.basicConstraints, sequence(boolean(true)), true),
    // keyCertSign and cRLSign.
    extension(OID.keyUsage, bits(0x06, 1), true),
    extension(OID.subjectKeyId, octets(keyId)),
  ];
  const certificate = certificateOf(
    { ...{ name, issuer: name, valid, publicKey, extensions } },
    privateKey,
  );
  return { certificate, key: pemOf(privateKey) };
}

/** For a node, which is server and client: `names` are those by which the others expect it. */
export function issueNode(
  name: string,
  names: readonly string[],
  valid: Valid,
  authority: Authority & { readonly name: string; readonly publicKey: KeyObject },
): Issued {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const extensions = [
    extension(OID.basicConstraints, sequence(), true),
    // digitalSignature.
    extension(OID.keyUsage, bits(0x80, 7), true),
    extension(OID.extendedKeyUsage, sequence(oid(OID.serverAuth), oid(OID.clientAuth))),
    extension(
      OID.subjectAltName,
      sequence(...names.map((each) => tagged(0x82, Buffer.from(each)))),
    ),
    extension(OID.subjectKeyId, octets(keyIdOf(publicKey))),
    extension(OID.authorityKeyId, sequence(tagged(0x80, keyIdOf(authority.publicKey)))),
  ];
  const certificate = certificateOf(
    { name, issuer: authority.name, valid, publicKey, extensions },
    authority.key,
  );
  return { certificate, key: pemOf(privateKey) };
}

interface Body {
  readonly name: string;
  readonly issuer: string;
  readonly valid: Valid;
  readonly publicKey: KeyObject;
  readonly extensions: readonly Buffer[];
}

function certificateOf(
  { name, issuer, valid, publicKey, extensions }: Body,
  key: KeyObject,
): string {
  const algorithm = sequence(oid(OID.ecdsaWithSha256));
  const serial = randomBytes(16);
  // A number that is positive, and does not begin with a zero.
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  const body = sequence(
    tagged(0xa0, tagged(0x02, Buffer.from([2]))),
    tagged(0x02, serial),
    algorithm,
    nameOf(issuer),
    sequence(time(valid.fromMs), time(valid.toMs)),
    nameOf(name),
    publicKey.export({ type: 'spki', format: 'der' }),
    tagged(0xa3, sequence(...extensions)),
  );
  const signature = sign('sha256', body, { key, dsaEncoding: 'der' });
  const whole = sequence(
    body,
    algorithm,
    tagged(0x03, Buffer.concat([Buffer.from([0]), signature])),
  );
  const lines = whole.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

function keyIdOf(key: KeyObject): Buffer {
  const der = key.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(der).digest().subarray(0, 20);
}

function pemOf(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}

function nameOf(commonName: string): Buffer {
  const value = tagged(0x0c, Buffer.from(commonName));
  return sequence(tagged(0x31, sequence(oid(OID.commonName), value)));
}

/** Up to 2049 as UTCTime, from 2050 on as GeneralizedTime: so the standard has it. */
function time(ms: number): Buffer {
  const text = new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, '');
  return ms < Date.UTC(2050, 0)
    ? tagged(0x17, Buffer.from(text.slice(2)))
    : tagged(0x18, Buffer.from(text));
}

function extension(id: string, value: Buffer, isCritical = false): Buffer {
  return sequence(oid(id), ...(isCritical ? [boolean(true)] : []), octets(value));
}

const sequence = (...parts: readonly Buffer[]): Buffer => tagged(0x30, Buffer.concat(parts));
const oid = (hex: string): Buffer => tagged(0x06, Buffer.from(hex, 'hex'));
const octets = (value: Buffer): Buffer => tagged(0x04, value);
const boolean = (value: boolean): Buffer => tagged(0x01, Buffer.from([value ? 0xff : 0]));
const bits = (value: number, unused: number): Buffer => tagged(0x03, Buffer.from([unused, value]));

function tagged(tag: number, value: Buffer): Buffer {
  const { length } = value;
  const head =
    length < 0x80
      ? [tag, length]
      : length < 0x100
        ? [tag, 0x81, length]
        : [tag, 0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from(head), value]);
}
