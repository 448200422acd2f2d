// Original file: proto/skein.proto

import type { Long } from '@grpc/proto-loader';

export interface Hello {
  'nodeId'?: (number | string | Long);
  'incarnation'?: (string);
  'name'?: (string);
  'slots'?: (number);
  'types'?: (string)[];
  'simulates'?: (boolean);
  'version'?: (string);
  'termSeen'?: (number | string | Long);
  'database'?: (string);
  'leaseMs'?: (number);
  'protocol'?: (number);
  'protocolMin'?: (number);
  'labels'?: (string)[];
}

export interface Hello__Output {
  'nodeId': (number);
  'incarnation': (string);
  'name': (string);
  'slots': (number);
  'types': (string)[];
  'simulates': (boolean);
  'version': (string);
  'termSeen': (number);
  'database': (string);
  'leaseMs': (number);
  'protocol': (number);
  'protocolMin': (number);
  'labels': (string)[];
}
