// Original file: proto/skein.proto

import type { Long } from '@grpc/proto-loader';

export interface Ended {
  'seqs'?: (number | string | Long)[];
  'codes'?: (number)[];
}

export interface Ended__Output {
  'seqs': (number)[];
  'codes': (number)[];
}
