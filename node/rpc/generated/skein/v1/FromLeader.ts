// Original file: proto/skein.proto

import type { Grants as _skein_v1_Grants, Grants__Output as _skein_v1_Grants__Output } from '../../skein/v1/Grants.ts';
import type { Aborts as _skein_v1_Aborts, Aborts__Output as _skein_v1_Aborts__Output } from '../../skein/v1/Aborts.ts';
import type { HeartbeatAnswer as _skein_v1_HeartbeatAnswer, HeartbeatAnswer__Output as _skein_v1_HeartbeatAnswer__Output } from '../../skein/v1/HeartbeatAnswer.ts';
import type { Ended as _skein_v1_Ended, Ended__Output as _skein_v1_Ended__Output } from '../../skein/v1/Ended.ts';
import type { Recall as _skein_v1_Recall, Recall__Output as _skein_v1_Recall__Output } from '../../skein/v1/Recall.ts';
import type { Prospect as _skein_v1_Prospect, Prospect__Output as _skein_v1_Prospect__Output } from '../../skein/v1/Prospect.ts';
import type { News as _skein_v1_News, News__Output as _skein_v1_News__Output } from '../../skein/v1/News.ts';
import type { Drain as _skein_v1_Drain, Drain__Output as _skein_v1_Drain__Output } from '../../skein/v1/Drain.ts';
import type { Long } from '@grpc/proto-loader';

export interface FromLeader {
  'term'?: (number | string | Long);
  'number'?: (number | string | Long);
  'grants'?: (_skein_v1_Grants | null);
  'aborts'?: (_skein_v1_Aborts)[];
  'answer'?: (_skein_v1_HeartbeatAnswer | null);
  'toldThrough'?: (number | string | Long);
  'ended'?: (_skein_v1_Ended | null);
  'goodbye'?: (boolean);
  'recall'?: (_skein_v1_Recall | null);
  'prospect'?: (_skein_v1_Prospect | null);
  'news'?: (_skein_v1_News | null);
  'drain'?: (_skein_v1_Drain | null);
}

export interface FromLeader__Output {
  'term': (number);
  'number': (number);
  'grants': (_skein_v1_Grants__Output | null);
  'aborts': (_skein_v1_Aborts__Output)[];
  'answer': (_skein_v1_HeartbeatAnswer__Output | null);
  'toldThrough': (number);
  'ended': (_skein_v1_Ended__Output | null);
  'goodbye': (boolean);
  'recall': (_skein_v1_Recall__Output | null);
  'prospect': (_skein_v1_Prospect__Output | null);
  'news': (_skein_v1_News__Output | null);
  'drain': (_skein_v1_Drain__Output | null);
}
