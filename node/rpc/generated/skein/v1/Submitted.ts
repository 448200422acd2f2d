// Original file: proto/skein.proto

import type { Long } from '@grpc/proto-loader';

export interface Submitted {
  'seq'?: (number | string | Long);
  'typeId'?: (number);
  'priority'?: (number);
  'hasDuration'?: (boolean);
  'expectedMs'?: (number | string);
}

export interface Submitted__Output {
  'seq': (number);
  'typeId': (number);
  'priority': (number);
  'hasDuration': (boolean);
  'expectedMs': (number);
}
