// Original file: proto/skein.proto

import type { Long } from '@grpc/proto-loader';

export interface Told {
  'number'?: (number | string | Long);
  'seqs'?: (number | string | Long)[];
  'leaseSeqs'?: (number)[];
  'settledAs'?: (number)[];
  'nextLeaseSeqs'?: (number)[];
  'attempts'?: (number)[];
  'runAtMs'?: (number | string)[];
  'runMs'?: (number | string)[];
}

export interface Told__Output {
  'number': (number);
  'seqs': (number)[];
  'leaseSeqs': (number)[];
  'settledAs': (number)[];
  'nextLeaseSeqs': (number)[];
  'attempts': (number)[];
  'runAtMs': (number)[];
  'runMs': (number)[];
}
