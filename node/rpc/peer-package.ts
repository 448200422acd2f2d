import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { loadPackageDefinition } from '@grpc/grpc-js';
import type { ChannelOptions } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { ProtoGrpcType } from './generated/skein.ts';

let loaded: ProtoGrpcType['skein']['v1'] | undefined;

/** The service of proto/skein.proto, read at first use (about 15 ms) and kept. */
export function peerPackage(): ProtoGrpcType['skein']['v1'] {
  if (loaded === undefined) {
    const definition = loadSync(protoPathOrThrow(), {
      longs: Number,
      enums: String,
      defaults: true,
      oneofs: true,
    });
    loaded = (loadPackageDefinition(definition) as unknown as ProtoGrpcType).skein.v1;
  }
  return loaded;
}

/** The proto stands beside node/; from the compiled dist/node it is one folder further up. */
function protoPathOrThrow(): string {
  const candidates = ['../../proto/skein.proto', '../../../proto/skein.proto'].map((relative) =>
    fileURLToPath(new URL(relative, import.meta.url)),
  );
  const found = candidates.find((candidate) => existsSync(candidate));
  if (found === undefined) throw new Error(`no skein.proto at ${candidates.join(' or ')}`);
  return found;
}

/** A frame above this is refused by whoever receives it. */
export const FRAME_BYTES_MAX = 16 * 1024 * 1024;

/**
 * Options of both ends. The ping of HTTP/2 is the second line of defence: it takes 7 s to notice a
 * peer that vanished, the heartbeats on the stream notice after half a second.
 */
const COMMON_OPTIONS: ChannelOptions = {
  'grpc.keepalive_time_ms': 5000,
  'grpc.keepalive_timeout_ms': 2000,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.max_receive_message_length': FRAME_BYTES_MAX,
  // Channelz keeps a record of each connection in memory, for a debugging service we do not run.
  'grpc.enable_channelz': 0,
};

export const SERVER_OPTIONS: ChannelOptions = COMMON_OPTIONS;

export const CHANNEL_OPTIONS: ChannelOptions = {
  ...COMMON_OPTIONS,
  // The retry layer buffers what a stream sends, for a replay that a link never wants.
  'grpc.enable_retries': 0,
  // The default of 64 KiB caps a link at 64 KiB a round trip.
  'grpc-node.flow_control_window': 1024 * 1024,
  // By default channels to one address share their connections, in a pool that outlives them: a
  // link dialled anew would get the very connection that fell silent.
  'grpc.use_local_subchannel_pool': 1,
  // http_proxy in the environment is for the outside world, not for our own nodes.
  'grpc.enable_http_proxy': 0,
  // No look-up of TXT records before each dial.
  'grpc.service_config_disable_resolution': 1,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 2000,
};
