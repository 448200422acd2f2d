import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { call, reasonOf } from './api.ts';
import { plural } from './format.ts';
import { Confirm } from './parts.tsx';

type Kind = 'cancel' | 'retry';

/** Counts first, then asks, then does it: to exactly what the node counts at that moment. */
export function Bulk({ selection }: { readonly selection: object }): JSX.Element {
  const [asked, setAsked] = useState<{ readonly kind: Kind; readonly count: number } | null>(null);
  const [told, setTold] = useState('');
  const attempt = (action: () => Promise<void>): void => {
    action().catch((thrown: unknown) => setTold(reasonOf(thrown)));
  };
  const ask = (kind: Kind): void =>
    attempt(async () => {
      const body = { ...selection, dry_run: true };
      const { count } = (await call('POST', `/tasks/${kind}`, body)) as { count: number };
      if (count > 0) setAsked({ kind, count });
      else setTold(`Nothing of it can be ${kind === 'cancel' ? 'cancelled' : 'retried'}.`);
    });
  const answer = (isYes: boolean): void => {
    const { kind } = asked ?? { kind: 'cancel' };
    setAsked(null);
    if (!isYes) return;
    attempt(async () => {
      const { count } = (await call('POST', `/tasks/${kind}`, selection)) as { count: number };
      setTold(`The ${kind} of ${plural(count, 'task')} is accepted.`);
    });
  };
  return (
    <>
      <button type="button" onClick={() => ask('cancel')}>
        Cancel …
      </button>
      <button type="button" onClick={() => ask('retry')}>
        Retry …
      </button>
      <span role="status">{told}</span>
      {asked === null ? null : (
        <Confirm
          question={`${asked.kind === 'cancel' ? 'Cancel' : 'Retry'} ${plural(asked.count, 'task')}?`}
          detail={
            asked.kind === 'cancel'
              ? 'What runs is stopped. What depends on it follows its trigger rule.'
              : 'What did not complete runs again, with all its attempts.'
          }
          yes={`Yes, ${asked.kind} ${String(asked.count)}`}
          no="No, leave them"
          isGrave={asked.kind === 'cancel'}
          onAnswer={answer}
        />
      )}
    </>
  );
}
