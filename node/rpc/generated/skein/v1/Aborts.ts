// Original file: proto/skein.proto

import type { Long } from '@grpc/proto-loader';

export interface Aborts {
  'seqs'?: (number | string | Long)[];
  'leaseSeqs'?: (number)[];
  'reason'?: (number);
}

export interface Aborts__Output {
  'seqs': (number)[];
  'leaseSeqs': (number)[];
  'reason': (number);
}
