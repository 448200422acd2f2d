// Original file: proto/skein.proto

import type { Hello as _skein_v1_Hello, Hello__Output as _skein_v1_Hello__Output } from '../../skein/v1/Hello.ts';
import type { Heartbeat as _skein_v1_Heartbeat, Heartbeat__Output as _skein_v1_Heartbeat__Output } from '../../skein/v1/Heartbeat.ts';
import type { Told as _skein_v1_Told, Told__Output as _skein_v1_Told__Output } from '../../skein/v1/Told.ts';
import type { Submitted as _skein_v1_Submitted, Submitted__Output as _skein_v1_Submitted__Output } from '../../skein/v1/Submitted.ts';
import type { Ask as _skein_v1_Ask, Ask__Output as _skein_v1_Ask__Output } from '../../skein/v1/Ask.ts';
import type { Follow as _skein_v1_Follow, Follow__Output as _skein_v1_Follow__Output } from '../../skein/v1/Follow.ts';
import type { Long } from '@grpc/proto-loader';

export interface FromNode {
  'hello'?: (_skein_v1_Hello | null);
  'heartbeat'?: (_skein_v1_Heartbeat | null);
  'told'?: (_skein_v1_Told | null);
  'look'?: (boolean);
  'watch'?: (number | string | Long)[];
  'unwatch'?: (number | string | Long)[];
  'submitted'?: (_skein_v1_Submitted | null);
  'ask'?: (_skein_v1_Ask | null);
  'follow'?: (_skein_v1_Follow | null);
  'nodesChanged'?: (boolean);
}

export interface FromNode__Output {
  'hello': (_skein_v1_Hello__Output | null);
  'heartbeat': (_skein_v1_Heartbeat__Output | null);
  'told': (_skein_v1_Told__Output | null);
  'look': (boolean);
  'watch': (number)[];
  'unwatch': (number)[];
  'submitted': (_skein_v1_Submitted__Output | null);
  'ask': (_skein_v1_Ask__Output | null);
  'follow': (_skein_v1_Follow__Output | null);
  'nodesChanged': (boolean);
}
