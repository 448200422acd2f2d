// Original file: proto/skein.proto

import type { Long } from '@grpc/proto-loader';

export interface Heartbeat {
  'number'?: (number | string | Long);
  'processed'?: (number | string | Long);
  'draining'?: (boolean);
  'seqs'?: (number | string | Long)[];
  'leaseSeqs'?: (number)[];
}

export interface Heartbeat__Output {
  'number': (number);
  'processed': (number);
  'draining': (boolean);
  'seqs': (number)[];
  'leaseSeqs': (number)[];
}
