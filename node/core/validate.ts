import type { SchedulerState } from './scheduler-state.ts';
import type { TaskType } from './task-types.ts';
import { Phase } from './task-graph.ts';

/** Derives again what the scheduler keeps twice, and names every difference. */
export function faultsIn(state: SchedulerState): readonly string[] {
  const { graph } = state;
  const faults: string[] = [];
  const check = (holds: boolean, row: number, sentence: string): void => {
    if (!holds) faults.push(`task ${String(graph.at(graph.seq, row))}: ${sentence}`);
  };
  const unknownOf = new Map<number, number>();
  for (const [dep, children] of state.unknown) {
    if (graph.find(dep) !== -1) faults.push(`dependency ${String(dep)} is unknown and known`);
    for (const child of children) unknownOf.set(child, (unknownOf.get(child) ?? 0) + 1);
  }
  const held = new Map<TaskType, readonly number[]>();
  const inHeap = new Map<number, string>();
  for (const { ready } of state.placements.all()) {
    for (const row of ready.rowsInHeapOrder()) inHeap.set(row, 'ready');
  }
  for (const row of state.timers.rowsInHeapOrder()) inHeap.set(row, 'timers');
  for (const row of graph.indexes()) {
    const phase = graph.at(graph.phase, row);
    const seq = graph.at(graph.seq, row);
    const nodeId = graph.at(graph.node, row);
    check(phase !== Phase.FREE, row, 'its row is marked free');
    check((phase === Phase.READY) === (inHeap.get(row) === 'ready'), row, 'ready queue is wrong');
    check((phase === Phase.DELAYED) === (inHeap.get(row) === 'timers'), row, 'timers are wrong');
    const isHeld = phase === Phase.LEASED || phase === Phase.GRANTING;
    check(isHeld === (nodeId !== 0), row, 'phase and node differ');
    if (isHeld) {
      const { type } = state.placementOf(row);
      held.set(type, [...(held.get(type) ?? []), seq]);
      check(state.members.get(nodeId)?.held.has(seq) === true, row, 'its node does not hold it');
      continue;
    }
    let parents = 0;
    graph.forEachParent(row, () => (parents += 1));
    check(
      graph.at(graph.unended, row) === parents + (unknownOf.get(seq) ?? 0),
      row,
      'its count of unended dependencies is wrong',
    );
    if (phase === Phase.WAITING) check(state.verdict(row) === 'wait', row, 'it waits for nothing');
    if (phase === Phase.READY) check(state.verdict(row) === 'ready', row, 'it is ready too early');
  }
  for (const type of state.placements.types.all()) {
    if (type.leases === undefined) continue;
    for (const seq of held.get(type) ?? []) {
      if (!type.leases.has(seq)) faults.push(`task ${String(seq)}: its limited type misses it`);
    }
    for (const seq of type.leases) {
      const row = graph.find(seq);
      const mayRun = row !== -1 && (graph.node[row] !== 0 || graph.phase[row] === Phase.SETTLING);
      if (!mayRun) faults.push(`task ${String(seq)}: its limited type holds it by mistake`);
    }
  }
  for (const member of state.members.all()) {
    const quick = [...member.held.keys()].filter(
      (seq) => graph.aheadMs[graph.find(seq)] !== 0,
    ).length;
    if (quick !== member.quickHeld)
      faults.push(`node ${String(member.nodeId)} miscounts quick tasks`);
    for (const seq of member.held.keys()) {
      const row = graph.find(seq);
      if (row === -1 || graph.at(graph.node, row) !== member.nodeId) {
        faults.push(`node ${String(member.nodeId)} holds task ${String(seq)} by mistake`);
      }
    }
  }
  return faults;
}
