import type { Clock } from '../../base/clock.ts';
import { toError } from '../../base/errors.ts';
import type { Caller } from '../../core/access.ts';
import type { AuditEntry } from '../../core/audit.ts';
import { nextLink, Query } from '../query.ts';
import { json } from '../endpoint.ts';
import type { ApiRequest, ApiResponse, Endpoint } from '../endpoint.ts';
import type { AuditPort, LogPort } from '../ports.ts';

/**
 * Writes the audit log. What may change something is written down before it does, and how it went after
 * it: so a change that is not in the log has not happened, and a row without a status is of a node that
 * died amid it. A submit, which there may be thousands of a second, has its row in its own transaction.
 *
 * The log is bounded by age; now and then a node that writes to it removes what is too old.
 */
export interface AuditorDeps {
  readonly clock: Clock;
  readonly log: LogPort;
  readonly audit: AuditPort;
  /** Days that changes are kept. */
  readonly auditDays: number;
}

const SUBMITS_DAYS_MAX = 7;
const SWEEP_MS = 60_000;
const DETAIL_MAX = 4000;
const TARGET_MAX = 255;

export class Auditor {
  readonly #deps: AuditorDeps;
  #sweptMs = -Infinity;

  constructor(deps: AuditorDeps) {
    this.#deps = deps;
  }

  /** Does what is to be done; where that may change something, between the two halves of its row. */
  async around(
    { method, path, isSubmit }: Endpoint,
    { caller, address, requestId, params }: From,
    work: (entry: AuditEntry, note: ApiRequest['note']) => Promise<ApiResponse>,
  ): Promise<ApiResponse> {
    const entry: AuditEntry = {
      ...{ actor: caller.name, keyId: caller.keyId, address, requestId },
      action: `${method} ${path.replace(/:(\w+)/g, '{$1}')}`,
      target: Object.values(params)[0]?.slice(0, TARGET_MAX).replaceAll('\0', '') ?? null,
    };
    let noted: object | undefined;
    const run = (): Promise<ApiResponse> =>
      work(entry, (detail) => {
        noted = detail;
      });
    if (method === 'GET') return run();
    this.maybeSweep();
    if (isSubmit === true) return run();
    const auditId = await this.#deps.audit.begin(entry);
    try {
      const response = await run();
      await this.#finish(auditId, response.status, noted);
      return response;
    } catch (thrown) {
      const { httpStatus } = thrown as { readonly httpStatus?: unknown };
      await this.#finish(auditId, typeof httpStatus === 'number' ? httpStatus : 500, noted);
      throw thrown;
    }
  }

  /** At most once a minute, and nobody waits for it. */
  maybeSweep(): void {
    const { clock, audit, auditDays, log } = this.#deps;
    const nowMs = clock.monotonicMs();
    if (nowMs - this.#sweptMs < SWEEP_MS) return;
    this.#sweptMs = nowMs;
    const submits = Math.min(auditDays, SUBMITS_DAYS_MAX);
    audit.sweep({ changes: auditDays, submits }).then(
      (isMore) => {
        if (isMore) this.#sweptMs = -Infinity;
      },
      (thrown: unknown) => {
        log.info('The audit log could not be cleared of what is old.', {
          error: toError(thrown).message,
        });
      },
    );
  }

  async #finish(auditId: number, status: number, noted: object | undefined): Promise<void> {
    const detail = noted === undefined ? null : JSON.stringify(noted);
    const kept = detail !== null && detail.length > DETAIL_MAX ? '{"cut":true}' : detail;
    try {
      await this.#deps.audit.finish(auditId, status, kept);
    } catch (thrown) {
      // The row is there, without its end: the change is done, and its answer must not say otherwise.
      this.#deps.log.warn('How a change went could not be noted in the audit log.', {
        audit_id: auditId,
        status,
        error: toError(thrown).message,
      });
    }
  }
}

/** Who calls what, from where. */
export interface From {
  readonly caller: Caller;
  readonly address: string;
  readonly requestId: string;
  readonly params: Readonly<Record<string, string>>;
}

export function auditEndpoints({ audit }: { readonly audit: AuditPort }): readonly Endpoint[] {
  return [
    {
      method: 'GET',
      role: 'admin',
      path: '/audit',
      query: 'own',
      isForAll: true,
      handle: (request) => list(audit, request),
    },
  ];
}

async function list(audit: AuditPort, request: ApiRequest): Promise<ApiResponse> {
  const query = new Query(request.query, ['actor', 'action', 'target', 'limit', 'cursor']);
  const asked = {
    actor: query.text('actor'),
    action: query.text('action'),
    target: query.text('target'),
    limit: query.limit(100),
    before: query.cursor(),
  };
  query.throwIfAny();
  const records = await audit.list(asked);
  const last = records.at(-1);
  const next = records.length === asked.limit && last !== undefined ? last.auditId : null;
  const bodies = records.map((record) => ({
    id: record.auditId,
    at: record.at.toISOString(),
    actor: record.actor,
    key_id: record.keyId,
    address: record.address,
    action: record.action,
    target: record.target,
    status: record.status,
    detail: record.detail === null ? null : (JSON.parse(record.detail) as unknown),
    request_id: record.requestId,
  }));
  return json(200, bodies, nextLink('/audit', request.query, next));
}
