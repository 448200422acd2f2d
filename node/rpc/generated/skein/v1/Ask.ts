// Original file: proto/skein.proto

import type { Long } from '@grpc/proto-loader';

export interface Ask {
  'number'?: (number | string | Long);
  'seq'?: (number | string | Long);
  'typeIds'?: (number)[];
}

export interface Ask__Output {
  'number': (number);
  'seq': (number);
  'typeIds': (number)[];
}
