// Original file: proto/skein.proto

import type { Long } from '@grpc/proto-loader';

export interface Recall {
  'seqs'?: (number | string | Long)[];
  'leaseSeqs'?: (number)[];
}

export interface Recall__Output {
  'seqs': (number)[];
  'leaseSeqs': (number)[];
}
