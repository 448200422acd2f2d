import type { Effect, LeaseClaim } from './events.ts';
import type { EndCode } from './task.ts';

interface LeaseColumns {
  readonly seqs: number[];
  readonly leaseSeqs: number[];
}

interface GrantColumns extends LeaseColumns {
  readonly attempts: number[];
  readonly losses: number[];
}

/** Skips asked for by one step: the leader does other work between two portions of a long cascade. */
const SKIPS_PER_STEP_MAX = 1000;

/** Collects what a step wants done, in columns, and gives it out as effects in their fixed order. */
export class Outbox {
  private skips: number[] = [];
  private skipsAsked = 0;
  cancels: number[] = [];
  expiries: number[] = [];
  loads: number[] = [];
  unresolved = new Set<number>();
  claims: LeaseClaim[] = [];
  private leases = { seqs: [] as number[], leaseSeqs: [] as number[], nodeIds: [] as number[] };
  private ended = { seqs: [] as number[], codes: [] as EndCode[] };
  private grants = new Map<number, GrantColumns>();
  private reclaims = new Map<number, LeaseColumns>();
  private releases = new Map<number, LeaseColumns>();
  private recalls = new Map<number, LeaseColumns>();
  private cancelAborts = new Map<number, LeaseColumns>();
  private foreignAborts = new Map<number, LeaseColumns>();

  /** Whether nothing is left for a later step. */
  get isEmpty(): boolean {
    return this.skips.length === 0;
  }

  /** Parents before their children: what is asked of the database keeps this order. */
  skip(seq: number): void {
    this.skips.push(seq);
  }

  lease(seq: number, leaseSeq: number, nodeId: number): void {
    this.leases.seqs.push(seq);
    this.leases.leaseSeqs.push(leaseSeq);
    this.leases.nodeIds.push(nodeId);
  }

  tellEnded(seq: number, code: EndCode): void {
    this.ended.seqs.push(seq);
    this.ended.codes.push(code);
  }

  grant(nodeId: number, seq: number, leaseSeq: number, attempt: number, losses: number): void {
    let columns = this.grants.get(nodeId);
    if (columns === undefined) {
      columns = { seqs: [], leaseSeqs: [], attempts: [], losses: [] };
      this.grants.set(nodeId, columns);
    }
    columns.seqs.push(seq);
    columns.leaseSeqs.push(leaseSeq);
    columns.attempts.push(attempt);
    columns.losses.push(losses);
  }

  reclaim(nodeId: number, seq: number, leaseSeq: number): void {
    push(this.reclaims, nodeId, seq, leaseSeq);
  }

  release(nodeId: number, seq: number, leaseSeq: number): void {
    push(this.releases, nodeId, seq, leaseSeq);
  }

  recall(nodeId: number, seq: number, leaseSeq: number): void {
    push(this.recalls, nodeId, seq, leaseSeq);
  }

  abort(nodeId: number, seq: number, leaseSeq: number, reason: 'cancelled' | 'not-yours'): void {
    push(reason === 'cancelled' ? this.cancelAborts : this.foreignAborts, nodeId, seq, leaseSeq);
  }

  /** Everything collected, and an empty outbox. `openLoad` gives the number of a read to come. */
  flush(step: number, openLoad: () => number): readonly Effect[] {
    const effects: Effect[] = [];
    for (const [nodeId, grants] of this.grants) {
      effects.push({ kind: 'send-grants', nodeId, grants, step });
    }
    for (const [nodeId, columns] of this.reclaims) {
      effects.push({ kind: 'persist-reclaims', nodeId, ...columns });
    }
    for (const [nodeId, columns] of this.releases) {
      effects.push({ kind: 'persist-releases', nodeId, ...columns });
    }
    if (this.cancels.length > 0) effects.push({ kind: 'persist-cancels', seqs: this.cancels });
    if (this.expiries.length > 0) effects.push({ kind: 'persist-expiries', seqs: this.expiries });
    const skips = this.nextSkips();
    if (skips.length > 0) effects.push({ kind: 'persist-skips', seqs: skips });
    if (this.leases.seqs.length > 0) effects.push({ kind: 'persist-leases', ...this.leases });
    for (const [nodeId, columns] of this.recalls) {
      effects.push({ kind: 'send-recalls', nodeId, ...columns });
    }
    for (const [nodeId, columns] of this.cancelAborts) {
      effects.push({ kind: 'send-aborts', nodeId, ...columns, reason: 'cancelled' });
    }
    for (const [nodeId, columns] of this.foreignAborts) {
      effects.push({ kind: 'send-aborts', nodeId, ...columns, reason: 'not-yours' });
    }
    if (this.ended.seqs.length > 0) effects.push({ kind: 'tell-ended', ...this.ended });
    if (this.unresolved.size > 0) {
      const seqs = [...this.unresolved];
      effects.push({ kind: 'resolve-dependencies', load: openLoad(), seqs });
    }
    if (this.loads.length > 0) {
      effects.push({ kind: 'load-tasks', load: openLoad(), seqs: this.loads });
    }
    if (this.claims.length > 0) {
      effects.push({ kind: 'reread-tasks', load: openLoad(), claims: this.claims });
    }
    this.empty();
    return effects;
  }

  private nextSkips(): readonly number[] {
    const next = this.skips.slice(this.skipsAsked, this.skipsAsked + SKIPS_PER_STEP_MAX);
    this.skipsAsked += next.length;
    if (this.skipsAsked === this.skips.length) {
      this.skips = [];
      this.skipsAsked = 0;
    }
    return next;
  }

  private empty(): void {
    this.cancels = [];
    this.expiries = [];
    this.loads = [];
    this.unresolved = new Set();
    this.claims = [];
    this.leases = { seqs: [], leaseSeqs: [], nodeIds: [] };
    this.ended = { seqs: [], codes: [] };
    this.grants = new Map();
    this.reclaims = new Map();
    this.releases = new Map();
    this.recalls = new Map();
    this.cancelAborts = new Map();
    this.foreignAborts = new Map();
  }
}

function push(
  byNode: Map<number, LeaseColumns>,
  nodeId: number,
  seq: number,
  leaseSeq: number,
): void {
  let columns = byNode.get(nodeId);
  if (columns === undefined) {
    columns = { seqs: [], leaseSeqs: [] };
    byNode.set(nodeId, columns);
  }
  columns.seqs.push(seq);
  columns.leaseSeqs.push(leaseSeq);
}
