// Original file: proto/skein.proto

import type { Long } from '@grpc/proto-loader';

export interface Grants {
  'seqs'?: (number | string | Long)[];
  'leaseSeqs'?: (number)[];
  'attempts'?: (number)[];
  'losses'?: (number)[];
}

export interface Grants__Output {
  'seqs': (number)[];
  'leaseSeqs': (number)[];
  'attempts': (number)[];
  'losses': (number)[];
}
