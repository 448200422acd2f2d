import { BULK_STATUSES } from '../store/bulk-changes.ts';
import type { BulkAsked, BulkKind } from '../store/bulk-changes.ts';
import { withJson } from './body.ts';
import type { BodyBudget } from './body.ts';
import { json } from './endpoint.ts';
import type { ApiRequest, ApiResponse, Endpoint } from './endpoint.ts';
import { Faults } from './faults.ts';
import type { BulkChangesPort, LeaderPort } from './ports.ts';
import { bulkSchema } from './schemas.ts';

/** Cancels and retries of all tasks that a filter names. */
export interface BulkDeps {
  readonly bulk: BulkChangesPort;
  readonly leader: LeaderPort;
  readonly budget: BodyBudget;
}

export function bulkEndpoints(deps: BulkDeps): readonly Endpoint[] {
  return [
    {
      method: 'POST',
      role: 'operate',
      path: '/tasks/cancel',
      handle: (request) => ask(deps, 'cancel', request),
    },
    {
      method: 'POST',
      role: 'operate',
      path: '/tasks/retry',
      handle: (request) => ask(deps, 'retry', request),
    },
  ];
}

const AUDITED_IDS_MAX = 20;

async function ask(deps: BulkDeps, kind: BulkKind, request: ApiRequest): Promise<ApiResponse> {
  const asked = await withJson(request.message, deps.budget, (value) =>
    Promise.resolve(readAsked(kind, value)),
  );
  const { ids, ...filter } = asked.filter;
  const named = ids === null ? {} : { ids: ids.slice(0, AUDITED_IDS_MAX), named: ids.length };
  const detail = { ...filter, ...named, ...(asked.isDry ? { dry_run: true } : {}) };
  request.note(detail);
  const count = await deps.bulk.ask(kind, asked, request.signal);
  request.note({ ...detail, count });
  if (asked.isDry) return json(200, { count, dry_run: true });
  deps.leader.look();
  return json(202, { count });
}

/** A filter that names nothing would mean everything: whoever means that has to say so. */
function readAsked(kind: BulkKind, value: unknown): BulkAsked {
  const faults = new Faults();
  const asked = faults.mustBe(bulkSchema, value, '#');
  const { all, dry_run: isDry = false, ...given } = asked;
  const { ids = null, status = null, type = null, workflow = null, tag = null } = given;
  const hasFilter = [ids, status, type, workflow, tag].some((each) => each !== null);
  if (!hasFilter && all !== true) {
    faults.add('#', 'must name ids, status, type, workflow or tag, or say "all": true');
  }
  if (hasFilter && all === true) faults.add('#/all', 'must not stand beside a filter');
  const statuses: readonly string[] = BULK_STATUSES[kind];
  if (status !== null && !statuses.includes(status)) {
    faults.add('#/status', `must be ${statuses.join(' or ')} to ${kind} tasks`);
  }
  faults.throwIfAny();
  return { filter: { ids, status, type, workflow, tag }, isDry };
}
