// Original file: proto/skein.proto

import type { Long } from '@grpc/proto-loader';

export interface News {
  'seqs'?: (number | string | Long)[];
  'changedTo'?: (number)[];
  'nodeIds'?: (number | string | Long)[];
  'isPartial'?: (boolean);
  'lastSeq'?: (number | string | Long);
  'isWhole'?: (boolean);
  'queued'?: (number | string | Long);
  'holderIds'?: (number | string | Long)[];
  'held'?: (number | string | Long)[];
  'ended'?: (number | string | Long)[];
  'endedSeqs'?: (number | string | Long)[];
  'readyMs'?: (number | string)[];
  'runMs'?: (number | string)[];
}

export interface News__Output {
  'seqs': (number)[];
  'changedTo': (number)[];
  'nodeIds': (number)[];
  'isPartial': (boolean);
  'lastSeq': (number);
  'isWhole': (boolean);
  'queued': (number);
  'holderIds': (number)[];
  'held': (number)[];
  'ended': (number)[];
  'endedSeqs': (number)[];
  'readyMs': (number)[];
  'runMs': (number)[];
}
