import type * as grpc from '@grpc/grpc-js';
import type { MessageTypeDefinition } from '@grpc/proto-loader';

import type { Aborts as _skein_v1_Aborts, Aborts__Output as _skein_v1_Aborts__Output } from './skein/v1/Aborts.ts';
import type { Ask as _skein_v1_Ask, Ask__Output as _skein_v1_Ask__Output } from './skein/v1/Ask.ts';
import type { Drain as _skein_v1_Drain, Drain__Output as _skein_v1_Drain__Output } from './skein/v1/Drain.ts';
import type { Ended as _skein_v1_Ended, Ended__Output as _skein_v1_Ended__Output } from './skein/v1/Ended.ts';
import type { Follow as _skein_v1_Follow, Follow__Output as _skein_v1_Follow__Output } from './skein/v1/Follow.ts';
import type { FromLeader as _skein_v1_FromLeader, FromLeader__Output as _skein_v1_FromLeader__Output } from './skein/v1/FromLeader.ts';
import type { FromNode as _skein_v1_FromNode, FromNode__Output as _skein_v1_FromNode__Output } from './skein/v1/FromNode.ts';
import type { Grants as _skein_v1_Grants, Grants__Output as _skein_v1_Grants__Output } from './skein/v1/Grants.ts';
import type { Heartbeat as _skein_v1_Heartbeat, Heartbeat__Output as _skein_v1_Heartbeat__Output } from './skein/v1/Heartbeat.ts';
import type { HeartbeatAnswer as _skein_v1_HeartbeatAnswer, HeartbeatAnswer__Output as _skein_v1_HeartbeatAnswer__Output } from './skein/v1/HeartbeatAnswer.ts';
import type { Hello as _skein_v1_Hello, Hello__Output as _skein_v1_Hello__Output } from './skein/v1/Hello.ts';
import type { News as _skein_v1_News, News__Output as _skein_v1_News__Output } from './skein/v1/News.ts';
import type { PeerClient as _skein_v1_PeerClient, PeerDefinition as _skein_v1_PeerDefinition } from './skein/v1/Peer.ts';
import type { Prospect as _skein_v1_Prospect, Prospect__Output as _skein_v1_Prospect__Output } from './skein/v1/Prospect.ts';
import type { Recall as _skein_v1_Recall, Recall__Output as _skein_v1_Recall__Output } from './skein/v1/Recall.ts';
import type { Submitted as _skein_v1_Submitted, Submitted__Output as _skein_v1_Submitted__Output } from './skein/v1/Submitted.ts';
import type { Told as _skein_v1_Told, Told__Output as _skein_v1_Told__Output } from './skein/v1/Told.ts';

type SubtypeConstructor<Constructor extends new (...args: any) => any, Subtype> = {
  new(...args: ConstructorParameters<Constructor>): Subtype;
};

export interface ProtoGrpcType {
  skein: {
    v1: {
      Aborts: MessageTypeDefinition<_skein_v1_Aborts, _skein_v1_Aborts__Output>
      Ask: MessageTypeDefinition<_skein_v1_Ask, _skein_v1_Ask__Output>
      Drain: MessageTypeDefinition<_skein_v1_Drain, _skein_v1_Drain__Output>
      Ended: MessageTypeDefinition<_skein_v1_Ended, _skein_v1_Ended__Output>
      Follow: MessageTypeDefinition<_skein_v1_Follow, _skein_v1_Follow__Output>
      FromLeader: MessageTypeDefinition<_skein_v1_FromLeader, _skein_v1_FromLeader__Output>
      FromNode: MessageTypeDefinition<_skein_v1_FromNode, _skein_v1_FromNode__Output>
      Grants: MessageTypeDefinition<_skein_v1_Grants, _skein_v1_Grants__Output>
      Heartbeat: MessageTypeDefinition<_skein_v1_Heartbeat, _skein_v1_Heartbeat__Output>
      HeartbeatAnswer: MessageTypeDefinition<_skein_v1_HeartbeatAnswer, _skein_v1_HeartbeatAnswer__Output>
      Hello: MessageTypeDefinition<_skein_v1_Hello, _skein_v1_Hello__Output>
      News: MessageTypeDefinition<_skein_v1_News, _skein_v1_News__Output>
      Peer: SubtypeConstructor<typeof grpc.Client, _skein_v1_PeerClient> & { service: _skein_v1_PeerDefinition }
      Prospect: MessageTypeDefinition<_skein_v1_Prospect, _skein_v1_Prospect__Output>
      Recall: MessageTypeDefinition<_skein_v1_Recall, _skein_v1_Recall__Output>
      Submitted: MessageTypeDefinition<_skein_v1_Submitted, _skein_v1_Submitted__Output>
      Told: MessageTypeDefinition<_skein_v1_Told, _skein_v1_Told__Output>
    }
  }
}

