// Original file: proto/skein.proto

import type { Long } from '@grpc/proto-loader';

export interface Follow {
  'isOn'?: (boolean);
  'isAnew'?: (boolean);
  'seqs'?: (number | string | Long)[];
  'dropped'?: (number | string | Long)[];
}

export interface Follow__Output {
  'isOn': (boolean);
  'isAnew': (boolean);
  'seqs': (number)[];
  'dropped': (number)[];
}
