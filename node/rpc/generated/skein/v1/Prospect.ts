// Original file: proto/skein.proto

import type { Long } from '@grpc/proto-loader';

export interface Prospect {
  'number'?: (number | string | Long);
  'isKnown'?: (boolean);
  'phase'?: (number);
  'ahead'?: (number | string | Long);
  'isAheadExact'?: (boolean);
  'aheadMs'?: (number | string);
  'held'?: (number | string | Long);
  'heldMs'?: (number | string);
  'nodes'?: (number);
  'slots'?: (number);
  'typeRunning'?: (number | string | Long);
  'startInMs'?: (number | string);
  'runMs'?: (number | string);
  'typeMeansMs'?: (number | string)[];
  'atMs'?: (number | string);
  'overheadMs'?: (number | string);
}

export interface Prospect__Output {
  'number': (number);
  'isKnown': (boolean);
  'phase': (number);
  'ahead': (number);
  'isAheadExact': (boolean);
  'aheadMs': (number);
  'held': (number);
  'heldMs': (number);
  'nodes': (number);
  'slots': (number);
  'typeRunning': (number);
  'startInMs': (number);
  'runMs': (number);
  'typeMeansMs': (number)[];
  'atMs': (number);
  'overheadMs': (number);
}
