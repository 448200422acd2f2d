import { isDeepStrictEqual } from 'node:util';
import { labelRecord } from '../core/labels.ts';
import { TRIGGER_RULE_NAMES } from '../core/task.ts';
import type { SingleTask } from '../core/submission.ts';
import type { Attention, Failover } from '../store/attention-reader.ts';
import type { ClusterRecord, NodeRecord } from '../store/cluster-reader.ts';
import type { TaskSummary } from '../store/task-list.ts';
import type { Forecast } from './forecasts.ts';
import type { AttemptRecord, Progress, TaskRecord, WaitingFor } from '../store/task-reader.ts';
import type { TypeRecord } from '../store/type-control.ts';
import type { GraphNode, WorkflowRecord } from '../store/workflow-reader.ts';

/** Records as the bodies of the contract: snake case, times in ISO 8601 UTC with milliseconds. */
const time = (date: Date | null): string | null => date?.toISOString() ?? null;

/** A body whose JSON columns go out as the text they are stored as. */
export function withJsonTexts(
  body: Readonly<Record<string, unknown>>,
  texts: Readonly<Record<string, string | null>>,
): string {
  let result = JSON.stringify(body).slice(0, -1);
  for (const [key, text] of Object.entries(texts)) result += `,"${key}":${text ?? 'null'}`;
  return `${result}}`;
}

export function taskText(task: TaskRecord, waitingFor: WaitingFor | null): string {
  return withJsonTexts(
    {
      id: task.id,
      type: task.type,
      duration_ms: task.durationMs,
      dependencies: task.dependencies,
      status: task.status,
      priority: task.priority,
      attempt: task.attempt,
      max_attempts: task.maxAttempts,
      node: task.node,
      ...(task.workflow === null ? {} : { workflow: task.workflow }),
      tags: task.tags,
      ...(task.labels.length === 0 ? {} : { labels: labelRecord(task.labels) }),
      trigger_rule: TRIGGER_RULE_NAMES[task.triggerRule],
      expected_ms: task.expectedMs,
      timeout_ms: task.timeoutMs,
      ttl_ms: task.ttlMs,
      backoff: {
        type: task.backoffFixed ? 'fixed' : 'exponential',
        base_ms: task.backoffBaseMs,
        max_ms: task.backoffMaxMs,
      },
      run_at: time(task.runAt),
      created_at: time(task.createdAt),
      started_at: time(task.startedAt),
      finished_at: time(task.finishedAt),
      ...(task.progress === null ? {} : { progress: progressBody(task.progress) }),
      ...(waitingFor === null ? {} : { waiting_for: waitingForBody(waitingFor) }),
    },
    {
      payload: task.payload,
      result: task.result,
      error: task.error,
      ...(task.lastError === null ? {} : { last_error: task.lastError }),
    },
  );
}

function progressBody({ fraction, note, at }: Progress): object {
  return { fraction, note, at: time(at) };
}

function waitingForBody(waitingFor: WaitingFor): object {
  switch (waitingFor.reason) {
    case 'time':
      return { reason: 'time', run_at: time(waitingFor.runAt) };
    case 'labels':
      return { reason: 'labels', labels: labelRecord(waitingFor.labels) };
    case 'slot': {
      const { maxRunning } = waitingFor;
      return { reason: 'slot', ...(maxRunning === null ? {} : { max_running: maxRunning }) };
    }
    default:
      return waitingFor;
  }
}

export function summaryBody(task: TaskSummary): object {
  return {
    id: task.id,
    status: task.status,
    type: task.type,
    priority: task.priority,
    attempt: task.attempt,
    max_attempts: task.maxAttempts,
    duration_ms: task.durationMs,
    ...(task.workflow === null ? {} : { workflow: task.workflow }),
    tags: task.tags,
    node: task.node,
    run_at: time(task.runAt),
    created_at: time(task.createdAt),
    started_at: time(task.startedAt),
    finished_at: time(task.finishedAt),
  };
}

export function attemptsText(attempts: readonly AttemptRecord[]): string {
  const bodies = attempts.map((attempt) =>
    withJsonTexts(
      {
        attempt: attempt.attempt,
        outcome: attempt.outcome,
        lease_seq: attempt.leaseSeq,
        node: attempt.node,
        started_at: time(attempt.startedAt),
        finished_at: time(attempt.finishedAt),
      },
      { error: attempt.error },
    ),
  );
  return `[${bodies.join(',')}]`;
}

/** With when it ends, about, where that is asked for and known. */
export function workflowBody(workflow: WorkflowRecord, forecast: Forecast | null): object {
  return {
    id: workflow.id,
    name: workflow.name,
    status: workflow.status,
    priority: workflow.priority,
    counts: workflow.counts,
    created_at: time(workflow.createdAt),
    finished_at: time(workflow.finishedAt),
    ...(forecast === null
      ? {}
      : {
          eta: time(forecast.etaAt),
          remaining_ms: forecast.remainingMs === null ? null : Math.round(forecast.remainingMs),
        }),
  };
}

/** Edges run from a dependency to its dependent; those from outside the workflow are left out. */
export function graphBody(workflowId: string, nodes: readonly GraphNode[]): object {
  const prefix = `${workflowId}/`;
  const inside = new Set(nodes.map((node) => node.id));
  const edges = nodes.flatMap((node) =>
    node.dependencies.filter((id) => inside.has(id)).map((id) => [id, node.id]),
  );
  return {
    nodes: nodes.map((node) => ({
      id: node.id,
      name: node.id.startsWith(prefix) ? node.id.slice(prefix.length) : node.id,
      type: node.type,
      status: node.status,
      duration_ms: node.durationMs,
      expected_ms: node.expectedMs,
      started_at: time(node.startedAt),
      finished_at: time(node.finishedAt),
      priority: node.priority,
    })),
    edges,
  };
}

export function typeBody(type: TypeRecord): object {
  return {
    type: type.type,
    paused: type.paused,
    max_running: type.maxRunning,
    handled: type.isHandled,
    nodes: type.nodes,
  };
}

export function nodeBody(node: NodeRecord): object {
  return {
    id: node.nodeId,
    name: node.name,
    pid: node.pid,
    state: node.state,
    is_leader: node.isLeader,
    http_url: node.httpUrl,
    grpc_address: node.grpcAddress,
    slots: node.slots,
    running: node.running,
    types: node.types,
    labels: labelRecord(node.labels),
    version: node.version,
    started_at: time(node.startedAt),
    last_heartbeat_at: time(node.lastHeartbeatAt),
  };
}

/** A node whose lease is over holds its tasks until they are taken back. */
export function attentionBody(attention: Attention, nodes: readonly NodeRecord[]): object {
  const { types, oldestReady, lost, overdue, quarantined, schedules } = attention;
  const expired = nodes.filter(({ state, running }) => state === 'lost' && running > 0);
  return {
    ...{ types, lost },
    oldest_ready:
      oldestReady === null
        ? null
        : { id: oldestReady.id, type: oldestReady.type, ready_at: time(oldestReady.readyAt) },
    overdue: overdue.map(({ id, node, leasedAt }) => ({ id, node, leased_at: time(leasedAt) })),
    quarantined: quarantined.map(({ id, finishedAt }) => ({ id, finished_at: time(finishedAt) })),
    expired_leases: expired.map(({ name, running }) => ({ node: name, running })),
    schedules: schedules.map(({ id, problem, at }) => ({ id, problem, at: time(at) })),
  };
}

export function failoverBody({ at, term, from, to, afterMs }: Failover): object {
  return { at: time(at), term, from, to, after_ms: afterMs === null ? null : Math.round(afterMs) };
}

export function clusterBody(cluster: ClusterRecord): object {
  return {
    term: cluster.term,
    leader: cluster.leader,
    nodes: cluster.nodes.map(nodeBody),
    counts: cluster.counts,
  };
}

/**
 * Whether a submit asks for what is stored already: then the client that lost the first answer may
 * take the conflict for a success. A delay cannot be compared, and is not.
 */
export function isSameBody(stored: TaskRecord, { fields, dependencies }: SingleTask): boolean {
  const storedRunAtMs = stored.runAt?.getTime() ?? null;
  return (
    SCALARS.every((key) => stored[key] === fields[key]) &&
    (fields.delayMs !== null || storedRunAtMs === fields.runAtMs) &&
    isDeepStrictEqual(stored.dependencies, dependencies) &&
    isDeepStrictEqual(stored.tags, fields.tags) &&
    isDeepStrictEqual(stored.labels, fields.labels) &&
    isDeepStrictEqual(parsed(stored.payload), parsed(fields.payload))
  );
}

const SCALARS = [
  'type',
  'priority',
  'maxAttempts',
  'triggerRule',
  'durationMs',
  'expectedMs',
  'timeoutMs',
  'ttlMs',
  'backoffFixed',
  'backoffBaseMs',
  'backoffMaxMs',
] as const;

function parsed(text: string | null): unknown {
  return text === null ? null : JSON.parse(text);
}
