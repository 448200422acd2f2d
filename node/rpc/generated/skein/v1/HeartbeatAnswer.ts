// Original file: proto/skein.proto

import type { Long } from '@grpc/proto-loader';

export interface HeartbeatAnswer {
  'number'?: (number | string | Long);
  'renewed'?: (boolean);
}

export interface HeartbeatAnswer__Output {
  'number': (number);
  'renewed': (boolean);
}
