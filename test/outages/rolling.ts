import { systemClock } from '../../node/base/clock.ts';
import { unlessNone } from './failovers.ts';
import { diamond } from './flow.ts';
import type { Moment } from './ledger.ts';
import { factsOf, judge, onRig } from './part.ts';
import type { Part } from './part.ts';
import { partReport } from './report.ts';
import { Rig } from './rig.ts';

/**
 * Nodes are told to end, one after the other, and started again, while tasks flow: none is lost, and none
 * pays with an attempt.
 */
export const rolling: Part = ({ count, main, say, signal }) =>
  onRig(
    () => Rig.start({ slots: 4, main }),
    say,
    async (rig) => {
      const flow = rig.flow({ backlog: 200, group: diamond(50, 400) });
      const restarts: number[] = [];
      const resigned: Moment[] = [];
      const unclean: string[] = [];
      for (let at = 0; at < count; at += 1) {
        signal.throwIfAborted();
        const name = `node-${String((at % rig.cluster.nodes.length) + 1)}`;
        const moment = await rig.momentAtWork();
        if (moment.leader === name) resigned.push(moment);
        const begunMs = systemClock.monotonicMs();
        await rig.cluster.kill(name, 'SIGTERM');
        const { exitCode } = rig.cluster.node(name).process;
        if (exitCode !== 0) unclean.push(`${name} ended with exit code ${String(exitCode)}`);
        await rig.cluster.revive(name);
        await rig.cluster.ready(name);
        restarts.push(systemClock.monotonicMs() - begunMs);
        say(
          `${String(at + 1)}: ${name} is back after ${String(Math.round(restarts.at(-1) ?? 0))} ms`,
        );
      }
      const { faults, executions } = await judge(rig, flow);
      const gaps = await Promise.all(
        resigned.map(async ({ term, atMs }) => (await rig.firstLeaseAfter(term)) - atMs),
      );
      return partReport(
        'rolling',
        {
          'SIGTERM → ready again': restarts,
          'SIGTERM of the leader → first lease of the next': gaps,
        },
        factsOf(flow, executions),
        [
          ...faults,
          ...unclean,
          ...unlessNone(executions.charged, 'tasks with more than one attempt charged'),
          ...unlessNone(executions.attempts['failed'] ?? 0, 'failed attempts'),
        ],
      );
    },
  );
