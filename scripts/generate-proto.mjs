/**
 * Makes the types of proto/skein.proto in node/rpc/generated: run it after each change of the proto
 * and commit what it wrote. A test runs it into a scratch folder and compares, so that the two never
 * drift apart. The options must agree with those that node/rpc/peer-package.ts loads the proto with.
 *
 * usage: node scripts/generate-proto.mjs [folder]
 */
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = path.resolve(process.argv[2] ?? path.join(root, 'node/rpc/generated'));
const loader = path.dirname(
  createRequire(import.meta.url).resolve('@grpc/proto-loader/package.json'),
);

rmSync(folder, { recursive: true, force: true });
const { status } = spawnSync(
  process.execPath,
  [
    path.join(loader, 'build/bin/proto-loader-gen-types.js'),
    '--longs=Number',
    '--enums=String',
    '--defaults',
    '--oneofs',
    '--grpcLib=@grpc/grpc-js',
    '--importFileExtension=.ts',
    `--outDir=${folder}`,
    'proto/skein.proto',
  ],
  // The output names the proto as it was given: relative, so that it is the same on every machine.
  { cwd: root, stdio: 'inherit' },
);
process.exitCode = status ?? 1;
