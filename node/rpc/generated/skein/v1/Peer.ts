// Original file: proto/skein.proto

import type * as grpc from '@grpc/grpc-js'
import type { MethodDefinition } from '@grpc/proto-loader'
import type { FromLeader as _skein_v1_FromLeader, FromLeader__Output as _skein_v1_FromLeader__Output } from '../../skein/v1/FromLeader.ts';
import type { FromNode as _skein_v1_FromNode, FromNode__Output as _skein_v1_FromNode__Output } from '../../skein/v1/FromNode.ts';

export interface PeerClient extends grpc.Client {
  Link(metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientDuplexStream<_skein_v1_FromNode, _skein_v1_FromLeader__Output>;
  Link(options?: grpc.CallOptions): grpc.ClientDuplexStream<_skein_v1_FromNode, _skein_v1_FromLeader__Output>;
  link(metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientDuplexStream<_skein_v1_FromNode, _skein_v1_FromLeader__Output>;
  link(options?: grpc.CallOptions): grpc.ClientDuplexStream<_skein_v1_FromNode, _skein_v1_FromLeader__Output>;
  
}

export interface PeerHandlers extends grpc.UntypedServiceImplementation {
  Link: grpc.handleBidiStreamingCall<_skein_v1_FromNode__Output, _skein_v1_FromLeader>;
  
}

export interface PeerDefinition extends grpc.ServiceDefinition {
  Link: MethodDefinition<_skein_v1_FromNode, _skein_v1_FromLeader, _skein_v1_FromNode__Output, _skein_v1_FromLeader__Output>
}
